"""The street is a street: a file imports only from floors below its own, or from files before it on its own floor."""

import ast
from pathlib import Path

import lamina

SOURCE = Path(lamina.__file__).parent

# Each floor in the order in which its files may import one another.
FLOORS = [
    ["errors", "registry", "native.library", "native.kernels", "native.members"],
    ["activation_functions", "activations", "initializers", "losses", "metrics"],
    [
        "option_values",
        "config",
        "data.table",
        "data.masked",
        "data.text_values",
        "data.spelling",
        "data.csv_files",
        "data.images",
        "data.image_folders",
        "data.builtin",
        "data.frames",
        "data.readers",
        "data.date_parts",
        "data.target",
        "data.schema",
        "data.profile",
        "data.ordering",
        "data.copies",
        "data.splits",
        "data.image_features",
        "data.pixel_range",
        "data.encoder",
        "data.target_scaling",
        "data.weights",
        "network.layers",
        "network.saving_layers",
        "network.embeddings",
        "network.mlp",
        "network.members",
    ],
    [
        "training.processor",
        "training.bfloat16",
        "training.int8",
        "training.fused",
        "training.optimizers",
        "training.schedules",
        "training.rows",
        "training.averaging",
        "training.flat",
        "training.embedding_stages",
        "training.input_stages",
        "training.affine_stages",
        "training.hidden_stages",
        "training.passes",
        "training.member_step",
        "training.prediction",
        "training.step",
        "training.loop",
        "training.checkpoint",
        "training.recipe",
    ],
    ["linear_part", "baselines", "linear_share", "calibration", "intervals", "comparison", "finding"],
    [
        "model_file",
        "model_upgrades",
        "model_report",
        "older_scores",
        "model_forms",
        "report.subject",
        "report.svg",
        "report.reproduction",
        "report.html",
        "report.figures",
        "report.verdict",
        "report.sections",
        "report.page",
        "model",
        "partition",
        "scoring",
        "curves",
        "origin",
        "diagnosis_layers",
        "diagnosis_course",
        "diagnosis_rows",
        "diagnosis",
        "run",
        "target_choice",
        "fitting",
        "cross_validation",
        "checkpointing",
    ],
    [
        "analysis.plots",
        "analysis.exact",
        "analysis.rowwise",
        "analysis.flow",
        "analysis.parameters",
        "analysis.stages",
        "analysis.row_function",
        "analysis.collapse",
        "analysis.conversion",
        "analysis.pieces",
        "analysis.regions",
        "analysis.formula",
        "export.numpy_functions",
        "export.plan",
        "export.numpy_network",
        "export.one_row",
        "export.weights_file",
        "export.rows",
        "export.direct",
        "export.runtime",
        "export.onnx_graph",
        "export.onnx_functions",
        "export.onnx_inputs",
        "export.onnx_network",
        "export.onnx",
        "analysis.data_rows",
        "analysis.importance",
        "analysis.dependence",
        "analysis.integrated_gradients",
        "analysis.attributions",
    ],
    [
        "estimator_parts",
        "estimators",
        "displays",
        "textbook.scratch",
        "textbook.experiment",
        "textbook.drawing",
        "textbook.experiments.ten_kinds",
        "textbook.experiments.linear_monotonic",
        "textbook.experiments.body_temperature",
        "textbook.experiments.inverted_images",
        "textbook.experiments.representation",
        "textbook.experiments.network_figure",
        "textbook.experiments.parameter_saving",
        "textbook.experiments.stacked_affine",
        "textbook.experiments.rowwise",
        "textbook.experiments.logic_gates",
        "textbook.experiments.universal_approximation",
        "textbook.experiments.deep_instead_of_wide",
        "textbook.experiments.activation_gradients",
        "textbook.experiments.piecewise_linear",
        "textbook.experiments.vanishing_gradients",
        "textbook.experiments.learned_activations",
        "textbook.experiments.worked_answers",
        "textbook.runner",
        "textbook.words",
        "textbook.notebooks",
        "textbook.page",
        "textbook.folder",
        "cli.present",
        "cli.options",
        "cli.main",
        "cli.inspect",
        "cli.train",
        "cli.evaluate",
        "cli.predict",
        "cli.show",
        "cli.export",
        "cli.explain",
        "cli.diagnose",
        "cli.report",
        "cli.activations",
        "cli.textbook",
        "__main__",
    ],
]
ORDER = {name: position for position, name in enumerate(name for floor in FLOORS for name in floor)}
TORCH_FREE = [name for name in ORDER if name.startswith(("data.", "cli."))] + ["errors", "registry", "config"]


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__")


def imports(source: str) -> set[str]:
    """Names of everything that a file imports, as ``package.module`` or ``package.module.name``."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            found |= {f"{node.module}.{alias.name}" for alias in node.names} | {str(node.module)}
    return found


def internal(names: set[str]) -> set[str]:
    """Those of ``names`` that are modules of Lamina, without the package's name."""
    inner = {name.removeprefix("lamina.") for name in names if name.startswith("lamina.")}
    return {name for name in inner if name in ORDER}


def upward(module: str, source: str) -> list[str]:
    return sorted(name for name in internal(imports(source)) if ORDER[name] >= ORDER[module])


def files() -> dict[str, str]:
    every = {module_name(path): path.read_text() for path in SOURCE.rglob("*.py")}
    return {name: text for name, text in every.items() if name not in ("__init__",) and text.strip()}


def test_every_file_has_its_place():
    packages = {"data", "network", "training", "analysis", "cli"}
    assert set(files()) - packages == set(ORDER)


def test_no_import_goes_up():
    assert {name: up for name, text in files().items() if name in ORDER and (up := upward(name, text))} == {}


def test_an_import_that_goes_up_is_found():
    assert upward("data.encoder", "from lamina.training.loop import train") == ["training.loop"]
    assert upward("losses", "import lamina.model") == ["model"]
    assert upward("data.table", "def f():\n    from lamina.data import schema\n") == ["data.schema"]
    assert upward("model", "from lamina.losses import LOSSES") == []


def test_data_and_commands_know_no_torch():
    for name in TORCH_FREE:
        assert not any(each.split(".")[0] == "torch" for each in imports(files()[name])), name


def test_networks_and_training_know_no_table():
    # A network knows the encoder, which says what its inputs are; nothing below that.
    known = {
        each
        for name in ORDER
        if name.startswith(("network.", "training."))
        for each in internal(imports(files()[name]))
        if each.startswith("data.")
    }
    assert known == {"data.encoder"}
