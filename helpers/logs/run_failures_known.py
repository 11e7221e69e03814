"""Known failures of programs on the board: pattern in the log, meaning, way out, where it is documented."""

_ONNXSIM = "onnxsim/onnxsim, scripts/axera/README.md"
_SAMPLE = "AXERA-TECH/ax-samples, examples/ax650/ax_classification_steps.cc"
_ENGINE = "error texts of libax_engine.so"
_MAGNETAR = "AXERA-TECH/Magnetar"
_PYAXENGINE = "AXERA-TECH/pyaxengine"

RUN_FAILURES: tuple[tuple[str, str, str, str], ...] = (
    (
        r"model type \{.{1,9}\} is not allowed with npu mode|Model type .{1,60} is not allowed when vnpu",
        "The model was compiled for more NPU cores than the virtual NPU in use has.",
        "Run it with the virtual NPU disabled (-v 0), or compile it with npu_mode NPU1.",
        f"{_MAGNETAR}, issues/kokoro_pipeline_issues.md",
    ),
    (
        r"only affinity .{0,80}allowed|[Mm]odel affinity cannot be set|illegal affinity",
        "The affinity mask names a core that this virtual-NPU mode does not have.",
        "With -v 0 use -a 1; with the standard mode use 1, 2 or 4.",
        f"{_MAGNETAR}, issues/kokoro_pipeline_issues.md",
    ),
    (
        r"NPU has already inited to mode",
        "Another program has started the NPU in another virtual-NPU mode.",
        "End that program, or use its mode (-v).",
        _ENGINE,
    ),
    (
        r"larger than model max compiled batch|not equal to each model compiled batch",
        "The model was not compiled for this batch size.",
        "Compile with static_batch_sizes or max_dynamic_batch_size, or run with a batch that it has.",
        _ENGINE,
    ),
    (
        r"input data size is not matched|Only support Input size == 1",
        "The sample feeds one uint8 image of the size given by -g, and the model's input is something else.",
        "Compile with one U8 NHWC input and batch 1, and give the model's size as -g height,width.",
        _SAMPLE,
    ),
    (
        r"[Gg]et [Mm]odel type.{0,80}failed|Failed to get model type",
        "The file is no axmodel, or the board's runtime is older than the compiler.",
        "Update the board's software, or compile with an older Pulsar2.",
        _ENGINE,
    ),
    (
        r"Allocate (?:memory|input|output).{0,200}fail|Create context failed",
        "The board has too little free CMM memory for the model.",
        "End other programs that use the NPU, or compile for a smaller batch.",
        _ENGINE,
    ),
    (
        r"Create handle from memory|CreateHandle|Create model handle failed|Failed to load model"
        r"|\[ERROR\] Loading model|Run-Joint model",
        "The engine could not load the model file.",
        "Check the path, and that onnxsim did not touch the file after the build; "
        "then the board's software version and free memory.",
        f"{_ONNXSIM}; AXERA-TECH/ax-llm, issues 4 and 21",
    ),
    (
        r"0x8030070C",
        "The NPU stopped on a bad program or index input; good models do it once in some hundred runs.",
        "Run it again; if it comes back, build the model again.",
        _ONNXSIM,
    ),
    (
        r"Run model.{0,4100}failed|Warmup model.{0,400}failed|Failed to run model",
        "The model was loaded but the NPU could not run it; some models in U16 build and then fail here.",
        "Build it in U8, or with the Pulsar2 version that fits the board's software.",
        "AXERA-TECH/pulsar2-docs, issue 10",
    ),
    (
        r"Segmentation fault|Bus error",
        "The program read past the model's output: its classes or heads are not those it expects.",
        "Use the sample that fits the model, or correct its class count; "
        "in Python keep the input arrays in variables.",
        "AXERA-TECH/ax-samples, issue 111; AXERA-TECH/pyaxengine, issue 22",
    ),
    (
        r"Stimulus file|PermissionError: .{0,40}/.{0,120}\.bin",
        "The run tools name files after tensors, and a tensor's name has a slash in it.",
        "Rename the model's inputs and outputs so that they have none.",
        "onnxsim/onnxsim, scripts/axera/legalize.py",
    ),
    (
        r"is not exist, please check it|is not exists",
        "The model or image file is not where the command line says.",
        "Check the path on the board.",
        _SAMPLE,
    ),
    (
        r"is not allowed, please check it",
        "The size given by -g cannot be read.",
        "Write it as height,width without a blank: -g 224,224.",
        _SAMPLE,
    ),
    (
        r"Read image failed",
        "OpenCV could not decode the image.",
        "Use a JPEG or PNG file that opens elsewhere.",
        _SAMPLE,
    ),
    (
        r"expect shape .{0,400}dtype",
        "pyaxengine takes only arrays of exactly the model's shape and type.",
        "Convert the input as the message says; int64 inputs are int32 on the board.",
        f"{_PYAXENGINE}, axengine",
    ),
    (
        r"Selected provider: .{0,80}is not available|No module named 'axengine'",
        "pyaxengine, or the library of this provider, is not installed here.",
        "Install the axengine wheel on the board, or pick one of the providers that it lists.",
        f"{_PYAXENGINE}, README",
    ),
    (
        r"is not in model outputs name list|is not in list",
        "pyaxengine was asked for some of the outputs only.",
        "Pass None for the output names and pick from the result.",
        f"{_PYAXENGINE}, axengine",
    ),
    (
        r"/proc/ax_proc",
        "The drivers of the board are not there: the program runs on another machine or in a container.",
        "Run it on the board itself.",
        "AXERA-TECH/ax-samples, issue 133",
    ),
    (
        r"shape group index",
        "The model has fewer shape groups than the one asked for.",
        "Leave out -g, or give an index that the model has.",
        "AXERA-TECH/axcl-runtime, sample/engine/apps/benchmark",
    ),
    (
        r"Verify ground truth failed",
        "The outputs differ from the stored ones.",
        "Check that inputs and stored outputs belong to this model.",
        "AXERA-TECH/axcl-runtime, sample/engine/apps/benchmark",
    ),
    (
        r"need option|undefined (?:short )?option|option needs value|^usage: ",
        "The command line was refused.",
        "Compare the options with the usage text: -m model, -i image, -r repeats.",
        _SAMPLE,
    ),
    (
        r"cannot open shared object file|Exec format error|(?:command )?not found$|Permission denied",
        "The program or one of its libraries cannot be started here.",
        "On the board, the tools are in /opt/bin; a program built for it runs nowhere else.",
        "AX650N board support package",
    ),
)
