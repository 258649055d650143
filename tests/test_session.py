import sys

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto

from autoreid_deploy.errors import DeviceError, MissingExtraError, ModelError
from autoreid_deploy.session import PROVIDERS, ModelSession, available_devices


@pytest.fixture
def no_session(monkeypatch):
    """Fail when a session is opened: the device must be refused before any work."""
    monkeypatch.setattr(onnxruntime, "InferenceSession", lambda *_, **__: pytest.fail("a session was opened"))


@pytest.fixture
def absent_device():
    """A device that this machine's ONNX Runtime was not built for."""
    return next(device for device in PROVIDERS if device not in available_devices())


def test_a_model_of_the_contract_opens_and_gives_unit_rows(tiny_model, tiny_spec, drawn_crops):
    session = ModelSession(tiny_model, "cpu")
    rows = session.run(drawn_crops)
    assert session.spec == tiny_spec
    assert rows.shape == (12, 32)
    assert rows.dtype == np.float32
    assert np.allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)


def test_sizes_may_be_left_open_in_the_graph(make_model, tiny_spec):
    assert ModelSession(make_model(open_sizes=True), "cpu").spec == tiny_spec


@pytest.mark.parametrize(
    ("changes", "both_sides"),
    [
        ({"input_type": TensorProto.FLOAT}, r"images tensor\(uint8\).*is images tensor\(float\)"),
        ({"input_name": "input"}, r"should be images .*is input "),
        ({"output_name": "feat"}, r"should be embeddings .*is feat "),
        ({"batch": 1}, r"\(batch, 128, 64, 3\), is .*\(1, 128, 64, 3\)"),
        ({"unit_rows": False}, r"length 1, have .* L2 norm"),
    ],
)
def test_a_broken_contract_is_refused_with_both_sides(make_model, changes, both_sides):
    with pytest.raises(ModelError, match=rf"made\.onnx: breaks the model contract: .*{both_sides}"):
        ModelSession(make_model(**changes), "cpu")


@pytest.mark.parametrize(
    ("key", "value", "both_sides"),
    [
        ("dim", "16", r"\(batch, 16\), is .*\(batch, 32\)"),
        ("height", "256", r"\(batch, 256, 64, 3\), is .*\(batch, 128, 64, 3\)"),
    ],
)
def test_metadata_that_contradict_the_graph_are_refused(make_model, tiny_spec, key, value, both_sides):
    metadata = {**tiny_spec.to_metadata(), key: value}
    with pytest.raises(ModelError, match=both_sides):
        ModelSession(make_model(metadata=metadata), "cpu")


def test_a_graph_that_fails_at_the_size_it_leaves_open_is_refused(make_model, tiny_spec):
    metadata = {**tiny_spec.to_metadata(), "height": "256"}
    with pytest.raises(ModelError, match="fails on a batch of two crops"):
        ModelSession(make_model(metadata=metadata, open_sizes=True), "cpu")


def test_a_graph_that_answers_otherwise_than_it_declares_is_refused(tiny_model, monkeypatch):
    monkeypatch.setattr(ModelSession, "run", lambda *_: np.ones((1, 32), np.float32))
    with pytest.raises(ModelError, match=r"rows of \(2, 32\), gave \(1, 32\)"):
        ModelSession(tiny_model, "cpu")


def test_a_model_without_our_metadata_is_refused(make_model):
    with pytest.raises(ModelError, match=r"made\.onnx: not an autoreid model.*lack format"):
        ModelSession(make_model(metadata={"author": "somebody"}), "cpu")


@pytest.mark.parametrize("length", [0, 20, 2_000])
def test_a_file_that_is_no_model_is_refused_in_one_line(tmp_path, tiny_model, length):
    path = tmp_path / "broken.onnx"
    path.write_bytes(tiny_model.read_bytes()[:length])
    with pytest.raises(ModelError, match=r"broken\.onnx") as caught:
        ModelSession(path, "cpu")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("device", ["gpu", "", "CPU", "cpu:0", "cuda:", "cuda:one", "cuda:-1", "openvino:1"])
def test_an_unknown_device_is_refused_before_any_work(tiny_model, no_session, device):
    with pytest.raises(DeviceError, match="unknown device"):
        ModelSession(tiny_model, device)


@pytest.mark.parametrize("device", ["cuda", "cuda:1", "tensorrt"])
def test_a_device_that_is_not_there_is_refused_before_any_work(tiny_model, no_session, monkeypatch, device):
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    with pytest.raises(DeviceError, match=f"'{device}' is not offered .* which has cpu; "):
        ModelSession(tiny_model, device)


@pytest.mark.filterwarnings("ignore:Specified provider")
def test_a_session_that_fell_back_to_another_device_is_refused(tiny_model, monkeypatch, absent_device):
    # ONNX Runtime itself is honest about what it was built for; here it is made to promise what it can't do.
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: list(PROVIDERS.values()))
    with pytest.raises(
        DeviceError, match=f"{PROVIDERS[absent_device]} did not come up .* CPUExecutionProvider"
    ):
        ModelSession(tiny_model, absent_device)


def test_a_missing_onnxruntime_is_named_with_the_command(tiny_model, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'autoreid-deploy\[cpu\]'"):
        ModelSession(tiny_model, "cpu")
