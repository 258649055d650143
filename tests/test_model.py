import hashlib
from dataclasses import fields
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoreid_deploy.errors import ModelError
from autoreid_deploy.model import FORMAT, ModelSpec, bundled_models, find_model, model_id

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
tables = st.dictionaries(st.text(max_size=6), json_values, max_size=3)
sizes = st.integers(1, 10_000)


@settings(max_examples=50)
@given(st.builds(ModelSpec, st.text(), sizes, sizes, sizes, tables, tables, st.text(), tables, tables))
def test_a_spec_survives_its_metadata(spec):
    metadata = spec.to_metadata()
    assert all(isinstance(value, str) for value in metadata.values())
    assert ModelSpec.from_metadata(metadata, "x.onnx") == spec


def test_metadata_are_plain_text_where_a_reader_looks_first(tiny_spec):
    metadata = tiny_spec.to_metadata()
    assert metadata["format"] == FORMAT == "autoreid/1"
    assert [metadata[key] for key in ("name", "height", "width", "dim")] == ["tiny", "128", "64", "32"]
    assert metadata["terms"] == "for tests only"


def test_keys_of_other_tools_are_left_alone(tiny_spec):
    metadata = {**tiny_spec.to_metadata(), "onnx.infer": "x"}
    assert ModelSpec.from_metadata(metadata, "x.onnx") == tiny_spec


@pytest.mark.parametrize("key", ["format", *(field.name for field in fields(ModelSpec))])
def test_each_missing_key_is_named_with_the_file(tiny_spec, key):
    metadata = tiny_spec.to_metadata()
    del metadata[key]
    with pytest.raises(ModelError, match=rf"^some\.onnx: .* lack {key}; write"):
        ModelSpec.from_metadata(metadata, "some.onnx")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("format", "autoreid/9"),
        ("height", "0"),
        ("height", "-128"),
        ("width", "64.0"),
        ("dim", "²"),
        ("dim", ""),
        ("genotype", "{"),
        ("training", "[]"),
        ("metrics", "null"),
        ("calibration", "3"),
    ],
)
def test_a_bad_value_is_refused_with_its_key_and_file(tiny_spec, key, value):
    with pytest.raises(ModelError, match=rf"^some\.onnx: .*{key}"):
        ModelSpec.from_metadata({**tiny_spec.to_metadata(), key: value}, "some.onnx")


def test_a_bundled_model_is_found_by_name_and_a_file_by_path(tmp_path, tiny_model, monkeypatch):
    monkeypatch.setattr("autoreid_deploy.model.bundled_models", lambda: {"autoreid-s": tiny_model})
    assert find_model("autoreid-s") == tiny_model
    assert find_model(tiny_model) == find_model(str(tiny_model)) == tiny_model


def test_a_model_that_is_not_there_names_the_bundled_and_the_closest(tmp_path, tiny_model, monkeypatch):
    monkeypatch.setattr("autoreid_deploy.model.bundled_models", lambda: {"autoreid-s": tiny_model})
    with pytest.raises(ModelError, match=r"'autoreid-x': .*\(autoreid-s\); did you mean autoreid-s\?"):
        find_model("autoreid-x")
    with pytest.raises(ModelError, match=r"neither a file"):
        find_model(tmp_path)


def test_bundled_models_are_the_files_beside_the_code():
    assert all(path.is_file() and path.name == f"{name}.onnx" for name, path in bundled_models().items())


def test_a_model_id_changes_with_the_content_and_not_with_the_place(tmp_path: Path):
    one, two = tmp_path / "one.onnx", tmp_path / "two.onnx"
    one.write_bytes(b"weights")
    two.write_bytes(b"weights")
    assert model_id("m", one) == model_id("m", two) == "m@" + hashlib.sha256(b"weights").hexdigest()[:12]
    two.write_bytes(b"others")
    assert model_id("m", one) != model_id("m", two)


def test_a_spec_cannot_be_changed(tiny_spec):
    with pytest.raises(AttributeError):
        tiny_spec.dim = 3
