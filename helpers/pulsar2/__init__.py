"""Pulsar2: the calibration archive, the configuration, preflight and the build."""
