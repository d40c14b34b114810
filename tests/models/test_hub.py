"""A hub name is answered within seconds: from the cache, or with one line that says what to do."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter
from types import SimpleNamespace
from typing import Any

import pytest
from huggingface_hub import constants
from huggingface_hub.errors import RepositoryNotFoundError

from tests.conftest import FAMILIES
from vsd.models import hub, inspect, load

NAME = "nobody/tiny"


@pytest.fixture(autouse=True)
def _forget() -> Iterator[None]:
    hub.fetch.cache_clear()
    yield
    hub.fetch.cache_clear()


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of the hub's client."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def online(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)


def fill(cache: Path) -> Path:
    """Put a checkpoint into the cache, as a download leaves it."""
    folder = cache / "models--nobody--tiny"
    snapshot = FAMILIES["qwen2_5_vl"](folder / "snapshots" / "0123abcd")
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text("0123abcd")
    return snapshot


def refusal() -> str:
    start = perf_counter()
    with pytest.raises(ValueError) as caught:
        inspect(NAME)
    assert perf_counter() - start < 10
    said = str(caught.value)
    assert said.startswith("target.path: ")
    assert "\n" not in said
    return said


@pytest.mark.usefixtures("cache")
def test_offline_and_not_in_the_cache(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    said = refusal()
    assert f"got a name that {cache} does not hold, and HF_HUB_OFFLINE is set: unset HF_HUB_OFFLINE" in said
    assert "HF_HOME" in said
    assert "a local folder" in said


@pytest.mark.usefixtures("cache", "online")
def test_no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as closed:  # a port that nobody listens on
        closed.bind(("127.0.0.1", 0))
        monkeypatch.setattr(hub, "HfApi", _api(closed.getsockname()[1]))
        said = refusal()
    assert "the hub cannot be reached (" in said
    assert "connect to the hub, set HF_HOME to a cache that holds it, or give a local folder" in said


@pytest.mark.usefixtures("cache", "online")
def test_a_network_that_swallows_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen()
        monkeypatch.setattr(hub, "HfApi", _api(mute.getsockname()[1]))
        assert "the hub cannot be reached (" in refusal()


@pytest.mark.usefixtures("online")
@pytest.mark.parametrize("offline", [True, False])
def test_what_the_cache_holds_is_taken(offline: bool, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(cache)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", offline)
    monkeypatch.setattr(hub, "HfApi", _api(1))
    assert load(NAME).name == NAME


def test_a_cache_without_the_weights_is_told(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (fill(cache) / "model.safetensors").unlink()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(ValueError, match=r"target\.path: a checkpoint folder must hold weights .* got '.*0123abcd'"):
        load(NAME)


@pytest.mark.usefixtures("cache", "online")
def test_a_name_that_does_not_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    response: Any = SimpleNamespace(headers={}, request=None, status_code=404)

    class Api:
        def model_info(self, name: str, timeout: float) -> None:
            raise RepositoryNotFoundError("404", response=response)

    monkeypatch.setattr(hub, "HfApi", Api)
    assert refusal().endswith(
        "must be a checkpoint folder or a hub name that exists (a private one needs HF_TOKEN), got 'nobody/tiny'"
    )


@pytest.mark.usefixtures("online")
def test_weights_are_downloaded_only_when_asked_for(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    snapshot = fill(cache)
    files = [*(file.name for file in snapshot.iterdir()), "pytorch_model.bin", "original/model.safetensors", "a.gguf"]
    downloads: list[set[str]] = []

    class Api:
        def model_info(self, name: str, timeout: float) -> SimpleNamespace:
            return SimpleNamespace(siblings=[SimpleNamespace(rfilename=file) for file in files])

    def download(name: str, *, allow_patterns: list[str]) -> str:
        downloads.append(set(allow_patterns))
        return str(snapshot)

    monkeypatch.setattr(hub, "HfApi", Api)
    monkeypatch.setattr(hub, "snapshot_download", download)
    inspect(NAME)
    load(NAME)
    small = {file.name for file in snapshot.iterdir()} - {"model.safetensors"}
    assert downloads == [small, {*small, "model.safetensors"}]


def test_a_name_that_no_hub_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=r"target\.path: must be a checkpoint folder or a hub name, got 'my model!'"):
        inspect("my model!")


def _api(port: int) -> object:
    from huggingface_hub import HfApi

    return lambda: HfApi(endpoint=f"http://127.0.0.1:{port}")
