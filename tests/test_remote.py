"""URLs as sources and outputs: only ranges that are needed are asked for, and an output appears when it is whole."""

from __future__ import annotations

import json
import os
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from conftest import ROOT
from keras_files import dense, recurrent, write
from safetensors.numpy import save_file
from torch import nn

import converters
from converters import convert, convert_file, read
from converters.cli import main

fsspec = pytest.importorskip("fsspec")
pytest.importorskip("aiohttp")


class Server(ThreadingHTTPServer):
    """Serves a folder, by ranges unless it is told otherwise, and counts what it sends."""

    def __init__(self, folder: Path, ranges: bool = True) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.folder, self.ranges = folder, ranges
        self.sent: list[tuple[str, int, int]] = []

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self.server_port}/{name}"

    def bytes(self) -> int:
        return sum(stop - start for _, start, stop in self.sent)


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_HEAD(self) -> None:
        self.answer(False)

    def do_GET(self) -> None:
        self.answer(True)

    def answer(self, body: bool) -> None:
        file = self.server.folder / unquote(self.path.partition("?")[0]).lstrip("/")
        if not file.is_file():
            return self.send_error(404)
        size = file.stat().st_size
        asked = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        start, stop = 0, size
        if asked and self.server.ranges:
            start, stop = int(asked[1]), max(int(asked[1]), min(int(asked[2]) + 1, size))
        self.send_response(206 if stop - start < size else 200)
        if self.server.ranges:
            self.send_header("Accept-Ranges", "bytes")
            self.send_header("Content-Range", f"bytes {start}-{stop - 1}/{size}")
        self.send_header("Content-Length", str(stop - start))
        self.end_headers()
        if body:
            self.server.sent.append((file.name, start, stop))
            with file.open("rb") as opened:
                opened.seek(start)
                self.wfile.write(opened.read(stop - start))
        return None

    def log_message(self, *_: Any) -> None:
        return None


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    yield from serving(tmp_path, True)


@pytest.fixture
def plain(tmp_path: Path) -> Iterator[Server]:
    """One that knows no ranges."""
    yield from serving(tmp_path, False)


def serving(folder: Path, ranges: bool) -> Iterator[Server]:
    with Server(folder, ranges) as found:
        threading.Thread(target=found.serve_forever, daemon=True).start()
        yield found
        found.shutdown()


@pytest.fixture
def memory() -> Iterator[Any]:
    found = fsspec.filesystem("memory")
    found.store.clear()
    yield found
    found.store.clear()


UNITS = 1270
"""An LSTM of 1270 units and as many inputs has 52 MB."""


def large(folder: Path, ending: str) -> Path:
    file = folder / f"large{ending}"
    if ending == ".onnx":
        torch.onnx.export(nn.LSTM(UNITS, UNITS), torch.zeros(2, 1, UNITS), file, dynamo=False)
        return file
    write(folder / "large.h5", recurrent("LSTM", "rnn", UNITS, UNITS), dense("head", UNITS, 2))
    if ending != ".h5":
        convert_file(folder / "large.h5", file)
    return file


@pytest.mark.parametrize("ending", [".h5", ".safetensors", ".onnx"])
def test_inspecting_reads_the_structure_alone_and_converting_each_byte_once(
    ending: str, tmp_path: Path, server: Server
) -> None:
    file = large(tmp_path, ending)
    size = file.stat().st_size
    assert size > 50_000_000
    url = server.url(file.name)
    assert [layer.path for layer in read(url).layers] == [layer.path for layer in read(file).layers]
    assert server.bytes() < 300_000, server.sent
    server.sent.clear()
    convert_file(url, tmp_path / "out.safetensors", dtype="float16")
    assert size * 0.99 < server.bytes() < size * 1.01
    assert len(server.sent) < 60
    convert_file(file, tmp_path / "own.safetensors", dtype="float16")
    assert (tmp_path / "out.safetensors").read_bytes() == (tmp_path / "own.safetensors").read_bytes()


FIXTURES = [
    "keras2/lstm_sigmoid/model.h5",
    "keras3/lstm/model.keras",
    "onnx_torch/not_folded/model.onnx",
]


@pytest.mark.parametrize("ranges", [True, False], ids=["ranges", "whole"])
@pytest.mark.parametrize("case", FIXTURES)
def test_a_url_is_read_as_its_file(case: str, ranges: bool, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    server: Server = request.getfixturevalue("server" if ranges else "plain")
    source = ROOT / "fixtures" / case
    (tmp_path / source.name).write_bytes(source.read_bytes())
    found, expected = convert(server.url(f"{source.name}?token=a"), dropins=True), convert(source, dropins=True)
    assert found.keys() == expected.keys() and all(torch.equal(found[key], expected[key]) for key in expected)


def test_other_containers_are_fetched_whole(tmp_path: Path, server: Server) -> None:
    arrays = {"weight_ih_l0": np.ones((20, 3), np.float32), "weight_hh_l0": np.ones((20, 5), np.float32)}
    np.savez(tmp_path / "m.npz", **arrays)
    torch.save({key: torch.from_numpy(value) for key, value in arrays.items()}, tmp_path / "m.pt")
    for name in ("m.npz", "m.pt"):
        found = convert(server.url(name), framework="pytorch", assume={"class": "LSTM"})
        assert {key: tuple(tensor.shape) for key, tensor in found.items()} == {
            "weight_ih_l0": (20, 3),
            "weight_hh_l0": (20, 5),
        }


def test_files_beside_a_file_are_found_beside_its_url(tmp_path: Path, server: Server) -> None:
    """Shards, and external data of ONNX; nothing that leaves the folder."""
    file = write(tmp_path / "m.h5", recurrent("LSTM", "rnn", 3, 5), dense("head", 5, 2))
    index = convert_file(file, tmp_path / "m.safetensors", max_shard_size=500).output
    expected, found = convert(file), convert(server.url(Path(index).name))
    assert all(torch.equal(found[key], expected[key]) for key in expected)
    told = json.loads(Path(index).read_text())
    for escape in ("../secret.safetensors", "http://127.0.0.1/secret.safetensors", "/etc/secret.safetensors"):
        told["weight_map"] = dict.fromkeys(told["weight_map"], escape)
        Path(index).write_text(json.dumps(told))
        with pytest.raises(converters.UnsafeCheckpoint, match="not a relative path"):
            convert(server.url(Path(index).name))


def test_external_data_of_onnx_at_a_url(tmp_path: Path, server: Server) -> None:
    import onnx

    model = onnx.load(ROOT / "fixtures/onnx_torch/not_folded/model.onnx")
    onnx.save(model, tmp_path / "m.onnx")
    onnx.save(model, tmp_path / "e.onnx", save_as_external_data=True, location="e.data", size_threshold=0)
    found, expected = convert(server.url("e.onnx")), convert(tmp_path / "m.onnx")
    assert any(name == "e.data" for name, *_ in server.sent)
    assert all(torch.equal(found[key], expected[key]) for key in expected)


def test_a_folder_at_a_url(memory: Any, tmp_path: Path) -> None:
    arrays = {"weight_ih_l0": np.ones((20, 3), np.float32), "weight_hh_l0": np.ones((20, 5), np.float32)}
    save_file(arrays, tmp_path / "model.safetensors", metadata={"format": "pt"})
    memory.put_file(str(tmp_path / "model.safetensors"), "/hub/model/model.safetensors")
    assert [layer.class_name for layer in read("memory://hub/model").layers] == ["LSTM"]


def test_a_file_url_is_a_path(tmp_path: Path) -> None:
    file = write(tmp_path / "a model.h5", recurrent("LSTM", "rnn", 3, 5))
    assert read(file.as_uri()).layers[0].path == "rnn"
    convert_file(file.as_uri(), (tmp_path / "out.npz").as_uri())
    assert sorted(os.listdir(tmp_path)) == ["a model.h5", "out.npz"]


def test_an_output_at_a_url_is_whole_or_not_there(memory: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = write(tmp_path / "m.h5", recurrent("LSTM", "rnn", 3, 5), dense("head", 5, 2))
    convert_file(file, tmp_path / "own.safetensors")
    report = convert_file(file, "memory://deep/down/m.safetensors")
    assert report.output == "memory://deep/down/m.safetensors"
    assert memory.find("/") == ["/deep/down/m.safetensors"]
    assert memory.cat_file("/deep/down/m.safetensors") == (tmp_path / "own.safetensors").read_bytes()

    def interrupted(*_: Any, **__: Any) -> None:
        raise OSError("the line is cut")

    monkeypatch.setattr(type(memory), "mv", interrupted)
    with pytest.raises(converters.ConversionError, match="the line is cut"):
        convert_file(file, "memory://other/m.safetensors")
    assert memory.find("/") == ["/deep/down/m.safetensors"]


def test_shards_at_a_url_come_before_their_index(memory: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = write(tmp_path / "m.h5", recurrent("LSTM", "rnn", 3, 5), dense("head", 5, 2))
    convert_file(file, "memory://out/m.safetensors")
    put: list[str] = []
    usual = type(memory).put_file

    def noted(self: Any, local: str, remote: str, **options: Any) -> None:
        put.append(remote)
        usual(self, local, remote, **options)

    monkeypatch.setattr(type(memory), "put_file", noted)
    report = convert_file(file, "memory://out/m.safetensors", max_shard_size=500)
    assert report.output == "memory://out/m.safetensors.index.json"
    assert [".index.json" in name for name in put] == [False] * (len(put) - 1) + [True] and len(put) > 2
    assert not memory.exists("/out/m.safetensors")
    assert convert(report.output).keys() == convert(file).keys()


def test_the_input_is_no_output(memory: Any, tmp_path: Path) -> None:
    convert_file(write(tmp_path / "m.h5", recurrent("LSTM", "rnn", 3, 5)), "memory://out/m.safetensors")
    before = memory.cat_file("/out/m.safetensors")
    with pytest.raises(converters.ConversionError, match="the input itself"):
        convert_file("memory://out/m.safetensors", "memory://out/m.safetensors", dtype="float16")
    assert memory.cat_file("/out/m.safetensors") == before


def test_what_is_refused_leaves_nothing(memory: Any, tmp_path: Path) -> None:
    hard = write(tmp_path / "hard.h5", recurrent("LSTM", "rnn", 3, 5, recurrent_activation="hard_sigmoid"))
    with pytest.raises(converters.NotRepresentable):
        convert_file(hard, "memory://out/m.safetensors")
    assert memory.find("/") == []


@pytest.mark.parametrize(
    ("url", "wanted"),
    [
        ("memory://nothing/m.h5", "no such file"),
        ("nowhere://x/m.h5", "not known"),
        ("http://127.0.0.1:9/m.h5", "nothing answers"),
    ],
)
def test_what_does_not_answer_is_one_error(url: str, wanted: str) -> None:
    for command in (["inspect", url], ["convert", url, "out.npz"]):
        result = CliRunner().invoke(main, command)
        assert (result.exit_code, result.stderr.count("\n")) == (1, 1) and wanted in result.stderr
    assert not os.path.exists("out.npz")


def test_a_server_that_promises_ranges_and_sends_others_is_refused(tmp_path: Path, server: Server) -> None:
    """A file that changes between two requests."""
    file = write(tmp_path / "m.h5", recurrent("LSTM", "rnn", 97, 101))
    checkpoint = read(server.url("m.h5"))
    file.write_bytes(file.read_bytes()[:40_000])
    with pytest.raises(converters.UnreadableCheckpoint):
        convert(checkpoint)


def test_a_download_is_bounded(tmp_path: Path, plain: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "m.h5", recurrent("LSTM", "rnn", 3, 5))
    monkeypatch.setenv("GATEPORT_MAX_DOWNLOAD", "1KB")
    with pytest.raises(converters.UnsafeCheckpoint, match="GATEPORT_MAX_DOWNLOAD"):
        read(plain.url("m.h5"))
    monkeypatch.setenv("GATEPORT_MAX_DOWNLOAD", "1MB")
    assert read(plain.url("m.h5")).layers
