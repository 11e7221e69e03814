"""Known failures of `pulsar2 build`: pattern in the log, meaning, way out, where it is documented."""

_ONNXSIM = "onnxsim/onnxsim, scripts/axera/README.md"
_DOCS = "Pulsar2 documentation"
_MAGNETAR = "AXERA-TECH/Magnetar"


BUILD_FAILURES: tuple[tuple[str, str, str, str], ...] = (
    (
        r"Sentinel key not found|\bH0007\b",
        "Pulsar2 6 and 7 need a licence key and found none.",
        "Put the .v2c file into /root/.hasplm/installed/32434 of the container and run it as root.",
        f"{_MAGNETAR}, issues/013",
    ),
    (
        r"cannot execute binary file",
        "The image of Pulsar2 7.0 starts bash itself, so bash was handed the program pulsar2 as a script.",
        "Start it with --entrypoint pulsar2 and leave the word pulsar2 out of the command.",
        f"{_MAGNETAR}, magnetar/docker_util.py",
    ),
    (
        r"getpwuid|uid not found|getpass",
        "The container ran as a user that its password file does not know.",
        "Leave out docker's -u: the image must run as root; change the owner of the output afterwards.",
        "onnxsim/onnxsim, scripts/axera/pulsar2_docker.py",
    ),
    (
        r"^\s*Killed\b|line \d+: +\d+ Killed",
        "The system ended the process, nearly always because memory ran out.",
        "Give the machine or container more memory (large models take 20 GB and more) or cut the model.",
        "ml-inory/melotts.axera, issue 3",
    ),
    (
        r"dont support AxQuantizedGemm",
        "A Gemm has alpha or beta other than 1.",
        "Leave both at 1, or write it as MatMul and Add.",
        _ONNXSIM,
    ),
    (
        r"'>' not supported between instances of 'list' and 'int'|dont support lut_float"
        r"|AxLayerNorm.{0,200}FP32",
        "The whole graph is set to FP32 (highest_mix_precision), which real graphs do not survive.",
        "Set highest_mix_precision to false and ask for U16 on single layers.",
        "onnxsim/onnxsim, pull requests 1365 to 1367",
    ),
    (
        r"Swish.{0,80}get opr failed",
        "The ONNX operator Swish (opset 24) is not implemented.",
        "Export it as Sigmoid and Mul; HardSwish builds as it is.",
        _ONNXSIM,
    ),
    (
        r"dont support \w+ opr in|has no backend implementation on target platform"
        r"|AxQuantized\w+ dont support",
        "The NPU of this chip has no such operator, and there is no fallback to the CPU.",
        "Replace the operator or end the graph before it; see the operator list of your chip and version.",
        f"{_DOCS}, operator support list",
    ),
    (
        r"convert error: '\w+'|get opr failed",
        "An operator's attribute was left to its ONNX default.",
        "Write the attribute out in the graph (alpha of Elu and LeakyRelu, largest and sorted of TopK).",
        _ONNXSIM,
    ),
    (
        r"var\.dtype = .{0,80}expect_type",
        "A layer set to 16 bits feeds one that expects another data type.",
        "Take that layer, or its neighbours, out of layer_configs, or build with another Pulsar2 version.",
        "nnn112358/pulsar2_investigate_260525",
    ),
    (
        r"Seems config of input\(.{0,200}\) doesn't exist",
        "A Mul or Div by 1.0 that makes a graph output was optimised away.",
        "Drop that node from the graph.",
        _ONNXSIM,
    ),
    (
        r"Op of name\(.{0,200}\) doesn't exist in model",
        "layer_configs names a layer that does not exist after Pulsar2's fusions.",
        "Take the name from quant/quant_axmodel.json of a first build, or select by op_types.",
        "onnxsim/onnxsim, pull request 1303",
    ),
    (
        r"has no field named",
        "The build config has a field that Pulsar2 does not know.",
        "Correct its name; the message lists the valid ones, and preflight finds it before the build.",
        "onnxsim/onnxsim, pull request 1303",
    ),
    (
        r"Should fuse Gemm",
        "A Gemm multiplies two activations.",
        "Write it as MatMul.",
        "onnxsim/onnxsim, docs/axera-on-device-training-handoff.md",
    ),
    (
        r"truth value of an array with more than one element is ambiguous",
        "A MatMul of two activations followed by a one-dimensional bias was fused into a Gemm.",
        "Give the bias the shape [1, N].",
        "onnxsim/onnxsim, docs/axera-on-device-training-handoff.md",
    ),
    (
        r"zero-dimensional tensor .{0,60}cannot be concatenated",
        "A tensor of the graph has rank 0, which calibration cannot collect.",
        "Give it the shape [1].",
        "onnxsim/onnxsim, docs/axera-on-device-training-handoff.md",
    ),
    (
        r"Can not feed value to operation .{0,200}expects exact",
        "A pre-quantised model has a MatMul whose weight comes from DequantizeLinear.",
        "No way around it is known: build from the float model.",
        _ONNXSIM,
    ),
    (
        r"Cast, pyrun failed",
        "A Cast turns a BFLOAT16 constant into float.",
        "Store the constant as float32.",
        _ONNXSIM,
    ),
    (
        r"AxSnake|AxQuantizedSnake|NoTilerException|broadcast dim \d+",
        "A pattern like x + sin²(ax)/a was fused into an operator that cannot be built.",
        "Write the square as Mul(x, x) instead of Pow(x, 2).",
        "onnxsim/onnxsim, scripts/axera/legalize.py",
    ),
    (
        r"ocm alloc",
        "An operator's tile does not fit the on-chip memory.",
        "Make the operator's tensors smaller (input size, channels, batch), or take a larger npu_mode.",
        "ml-inory/melotts.axera, issue 3",
    ),
    (
        r"ZeroDivisionError|division by zero",
        "Seen with a Squeeze to one dimension.",
        "Use Reshape instead.",
        _ONNXSIM,
    ),
    (
        r"TileFailException|OpBuildException|OpXrunException",
        "The compiler found no way to cut this operator into pieces that fit the NPU.",
        "Look at the operator named in the message: make its tensors smaller, split it, or replace it.",
        f"{_MAGNETAR}, issues/008 and 009",
    ),
    (
        r"Op Execution Error",
        "The quantiser could not compute a node of the graph on the calibration data.",
        "Simplify the graph first; else replace the node that is named.",
        f"{_MAGNETAR}, issues/kokoro_pipeline_issues.md",
    ),
    (
        r"Unable to find image|pulsar2.{0,40}command not found|pulsar2.{0,10}: not found",
        "Pulsar2 is not installed here, or its image is not loaded.",
        "Load it with docker load -i ax_pulsar2_<version>.tar.gz.",
        f"{_DOCS}, quick start: preparation",
    ),
    (
        r"No space left on device",
        "The disk is full.",
        "Free some space and run it again.",
        "operating system",
    ),
)
