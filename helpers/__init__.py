"""EfficientViT at the edge: the work behind the notebooks, in rooms by artifact (CONTRIBUTING has the list).

The files beside the rooms are the hall, open to all of them; `chain` is the steps in a row.
"""
