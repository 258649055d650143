import json
import pkgutil
import subprocess
import sys

import pytest

import autoreid_deploy

TRAINING = {"torch", "onnx", "search", "export"}
HEAVY = {"numpy", "cv2", "faiss", "onnxruntime"}
MODULES = [
    module.name for module in pkgutil.walk_packages(autoreid_deploy.__path__, prefix="autoreid_deploy.")
]


def loaded(code):
    """Run code in a fresh interpreter and return the top-level packages that are loaded at its end."""
    ending = "\nimport json, sys\nprint('\\n' + json.dumps([name.partition('.')[0] for name in sys.modules]))"
    run = subprocess.run([sys.executable, "-c", code + ending], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    return set(json.loads(run.stdout.splitlines()[-1]))


def test_importing_the_package_loads_nothing_heavy():
    assert not loaded("import autoreid_deploy; dir(autoreid_deploy)") & (TRAINING | HEAVY)


@pytest.mark.parametrize("name", ["Embedder", "Gallery", "ModelSpec", "Record"])
def test_a_public_name_loads_without_the_optional_packages(name):
    assert not loaded(f"from autoreid_deploy import {name}") & (TRAINING | {"faiss", "onnxruntime"})


def test_the_whole_runtime_never_reaches_into_training_or_export():
    assert {"autoreid_deploy.embedder", "autoreid_deploy.cli.common"} <= set(MODULES)
    assert not loaded(f"import {', '.join(MODULES)}") & TRAINING


def test_embedding_needs_no_training_package(tiny_model):
    code = (
        "import numpy, autoreid_deploy\n"
        f"embedder = autoreid_deploy.Embedder.load({str(tiny_model)!r})\n"
        "embedder.embed(numpy.ones((2, 9, 9, 3), 'uint8'), color='rgb')\n"
    )
    packages = loaded(code)
    assert "onnxruntime" in packages
    assert not packages & TRAINING


@pytest.mark.parametrize("command", ["index", "query", "eval"])
def test_help_loads_nothing_heavy(command):
    code = (
        "import sys\n"
        f"from autoreid_deploy.cli.{command} import main\n"
        f"sys.argv = ['reid-{command}', '--help']\n"
        "try:\n    main()\n"
        "except SystemExit as error:\n    assert not error.code\n"
    )
    assert not loaded(code) & (TRAINING | HEAVY)
