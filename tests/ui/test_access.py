"""Who may see what: users, proxy, and another user's session, image, artifact, file and events."""

import json
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from gradio_client import Client, handle_file
from playwright.sync_api import expect

from overread.imaging.errors import ConfigError, InputError
from overread.ui.access import ProxyAccess
from overread.ui.belongings import Belongings
from overread.ui.commands.chat import is_loopback
from overread.ui.users import Users
from tests.ui.browser import chromium
from tests.ui.conftest import reading_room

Run = Callable[..., subprocess.CompletedProcess[str]]
PASSWORDS = {"ada": "a long password 1", "bob": "a long password 2"}
OURS = {"X-Overread": "1"}


def scope(peer: str, *names: str) -> dict[str, Any]:
    headers = [(b"x-forwarded-user", name.encode()) for name in names]
    return {"type": "http", "client": (peer, 1), "headers": headers}


@pytest.mark.parametrize(
    ("peer", "names", "user"),
    [
        ("127.0.0.1", ["ada"], "ada"),
        ("10.1.2.3", ["ada@example.org"], "ada@example.org"),
        ("192.168.0.1", ["ada"], None),
        ("127.0.0.1", [], None),
        ("127.0.0.1", ["ada", "bob"], None),
        ("127.0.0.1", ["../ada"], None),
        ("not-an-address", ["ada"], None),
    ],
)
def test_a_header_counts_from_the_proxy_alone(
    peer: str, names: list[str], user: str | None
) -> None:
    access = ProxyAccess("X-Forwarded-User", ["127.0.0.1", "10.0.0.0/8"])
    assert access.user(scope(peer, *names)) == user


def test_a_proxy_address_must_be_one() -> None:
    with pytest.raises(ConfigError, match="address"):
        ProxyAccess("X-Forwarded-User", ["everywhere"])


def test_passwords_are_hashed_and_checked(tmp_path: Path) -> None:
    users = Users(tmp_path / "users.json")
    users.add("ada", PASSWORDS["ada"])
    kept = json.loads((tmp_path / "users.json").read_text())
    assert list(kept) == ["ada"] and kept["ada"].startswith("$2b$12$")
    assert users.check("ada", PASSWORDS["ada"])
    assert not users.check("ada", PASSWORDS["bob"])
    assert not users.check("nobody", PASSWORDS["ada"])
    assert (tmp_path / "users.json").stat().st_mode & 0o077 == 0
    users.remove("ada")
    assert not users.check("ada", PASSWORDS["ada"])


@pytest.mark.parametrize(
    ("name", "password"),
    [("ada", "short"), ("ada", "x" * 73), ("../ada", "long enough 12"), ("", "long enough 12")],
)
def test_bad_names_and_passwords_are_refused(tmp_path: Path, name: str, password: str) -> None:
    with pytest.raises(InputError):
        Users(tmp_path / "users.json").add(name, password)


def test_a_browser_session_belongs_to_who_came_with_it_first() -> None:
    belongings = Belongings()
    assert belongings.bound("h1", "ada") and belongings.bound("h1", "ada")
    assert not belongings.bound("h1", "bob")
    belongings.note("ada", ["/f"])
    assert belongings.owns("ada", "/f") and not belongings.owns("bob", "/f")
    assert not belongings.release("bob", "/f")
    assert belongings.release("ada", "/f") and not belongings.owns("ada", "/f")


def test_loopback() -> None:
    assert [is_loopback(host) for host in ("127.0.0.1", "::1", "0.0.0.0", "10.0.0.1", "x")] == [
        True, True, False, False, False,
    ]  # fmt: skip


def test_the_network_is_refused_without_users(run: Run) -> None:
    done = run("chat", "--host", "0.0.0.0", "--no-start")
    assert done.returncode == 2
    assert "users add" in done.stderr
    done = run("chat", "--proxy-address", "10.0.0.1", "--no-start")
    assert done.returncode == 2 and "--proxy-header" in done.stderr


def test_users_are_added_listed_and_removed(run: Run, data_dir: Path) -> None:
    without = run("users", "add", "ada")
    assert without.returncode == 2 and "--password-stdin" in without.stderr
    Users(data_dir / "users.json").add("ada", PASSWORDS["ada"])
    assert run("users", "list").stdout == "ada\n"
    assert run("users", "remove", "ada").returncode == 0
    assert run("users", "remove", "ada").returncode == 2


@pytest.fixture(scope="module")
def guarded(planner_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The reading room with two users."""
    data = tmp_path_factory.mktemp("guarded")
    users = Users(data / "users.json")
    for name, password in PASSWORDS.items():
        users.add(name, password)
    with reading_room(data, "--base-url", planner_url) as url:
        yield url


@contextmanager
def logged_in(url: str, name: str) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=url, headers=OURS, timeout=120) as client:
        reply = client.post("/login", data={"username": name, "password": PASSWORDS[name]})
        assert reply.status_code == 200 and reply.json() == {"success": True}
        yield client


def asked_by_path(client: httpx2.Client, path: str) -> str:
    """Ask with a file of the server's named by its path, as a hostile client would."""
    file = {"path": path, "meta": {"_type": "gradio.FileData"}}
    body = {"data": ["What modality is it?", [file], ""]}
    reply = client.post("/gradio_api/call/ask", json=body)
    if reply.status_code != 200:
        return reply.text
    joined = reply.json()
    return client.get(f"/gradio_api/call/ask/{joined['event_id']}").text


@pytest.mark.slow
def test_nothing_is_shown_to_the_unknown(guarded: str) -> None:
    with httpx2.Client(base_url=guarded) as nobody:
        for path in (
            "/",
            "/config",
            "/gradio_api/info",
            "/reading/sessions",
            "/gradio_api/file=/x",
        ):
            assert nobody.get(path).status_code == 401
        page = nobody.get("/", headers={"Accept": "text/html"})
        assert page.status_code == 303 and page.headers["location"] == "/login"
        assert "Research use only" in nobody.get("/login").text
        wrong = {"username": "ada", "password": "wrong wrong wrong"}
        assert nobody.post("/login", data=wrong).status_code == 401


@pytest.mark.slow
def test_a_user_cannot_reach_what_is_anothers(guarded: str, chest: Path) -> None:
    client = Client(guarded, auth=("ada", PASSWORDS["ada"]), verbose=False)
    told = client.predict("Where is the thorax?", [handle_file(chest)], "", api_name="/ask")
    assert told["answer"] == "See the outline [E2]."
    session, evidence = told["session"], told["evidence"][1]
    sha256, image = evidence["artifacts"][0]["sha256"], evidence["image"]
    paths = [
        f"/reading/sessions/{session}",
        f"/reading/sessions/{session}/export",
        f"/reading/sessions/{session}/pixels/{image}",
        f"/reading/sessions/{session}/evidence/E2/mask?name=thorax",
        f"/reading/sessions/{session}/evidence/E2/uncertainty",
        f"/reading/sessions/{session}/artifacts/{sha256}",
    ]
    click = {"image": image, "points": [[200, 200, True]]}
    with logged_in(guarded, "ada") as ada, logged_in(guarded, "bob") as bob:
        assert [ada.get(path).status_code for path in paths] == [200] * 6
        assert ada.post(f"/reading/sessions/{session}/clicks", json=click).status_code == 200
        assert [bob.get(path).status_code for path in paths] == [404] * 6
        assert bob.post(f"/reading/sessions/{session}/clicks", json=click).status_code == 404
        assert bob.post(f"/reading/sessions/{session}/uncertainty", json=click).status_code == 404
        assert bob.request("DELETE", f"/reading/sessions/{session}").status_code == 404
        renamed = bob.patch(f"/reading/sessions/{session}", json={"title": "mine"})
        assert renamed.status_code == 404
        assert bob.get("/reading/sessions").json() == []
        for odd in ("..%2F..%2Fada%2F" + session, "../ada/" + session, session + "%00", ".."):
            assert bob.get(f"/reading/sessions/{odd}").status_code in (400, 404)
        # In a session of his own he cannot name her image or artifact either.
        own = Client(guarded, auth=("bob", PASSWORDS["bob"]), verbose=False)
        mine = own.predict("What modality is it?", [], "", api_name="/ask")["session"]
        assert bob.get(f"/reading/sessions/{mine}").status_code == 200
        assert bob.get(f"/reading/sessions/{mine}/pixels/{image}").status_code == 404
        assert bob.get(f"/reading/sessions/{mine}/artifacts/{sha256}").status_code == 404
        for path in (str(chest), "/etc/hostname", "http://127.0.0.1:1/x"):
            assert bob.get(f"/gradio_api/file={path}").status_code == 404
            assert "was not uploaded" in asked_by_path(bob, path)
        theft = own.predict("Where is the thorax?", [], session, api_name="/ask")
        assert theft == {"error": "there is no such session"}
        # Nor listen to her browser's events.
        joined = {"data": [], "fn_index": 0, "session_hash": client.session_hash}
        assert bob.post("/gradio_api/queue/join", json=joined).status_code == 404
        heard = bob.get(f"/gradio_api/queue/data?session_hash={client.session_hash}")
        assert heard.status_code == 404
        # A page of another site cannot set the header, so it cannot change anything.
        del ada.headers["X-Overread"]
        assert ada.request("DELETE", f"/reading/sessions/{session}").status_code == 403


@pytest.mark.slow
def test_what_one_user_opens_changes_no_other_users_examples(guarded: str, chest: Path) -> None:
    """The file is another image of the study that is the first example."""
    client = Client(guarded, auth=("ada", PASSWORDS["ada"]), verbose=False)
    client.predict("Where is the thorax?", [handle_file(chest)], "", api_name="/ask")
    own = Client(guarded, auth=("bob", PASSWORDS["bob"]), verbose=False)
    mine = own.predict("What modality is it?", [], "", api_name="/ask")["session"]
    with logged_in(guarded, "bob") as bob:
        examples = bob.get(f"/reading/sessions/{mine}").json()["examples"]
    assert [len(series["images"]) for item in examples for series in item["series"]] == [1] * 5


@pytest.mark.slow
def test_the_login_leads_where_the_link_did(guarded: str) -> None:
    client = Client(guarded, auth=("ada", PASSWORDS["ada"]), verbose=False)
    session = client.predict("What modality is it?", [], "", api_name="/ask")["session"]
    with chromium() as page:
        page.goto(f"{guarded}/#{session}")
        for password in ("wrong wrong wrong", PASSWORDS["ada"]):
            page.fill("#username", "ada")
            page.fill("#password", password)
            page.click("button")
        expect(page.locator(f'[data-session="{session}"] [aria-current=true]')).to_have_count(1)
        assert page.url.endswith(f"/#{session}")


@pytest.mark.slow
def test_uploads_are_limited_and_belong_to_their_user(guarded: str, tmp_path: Path) -> None:
    file = tmp_path / "note.txt"
    file.write_text("not an image")
    with logged_in(guarded, "ada") as ada, logged_in(guarded, "bob") as bob:
        reply = ada.post("/gradio_api/upload", files={"files": file.open("rb")})
        path = reply.json()[0]
        assert ada.get(f"/gradio_api/file={path}").status_code == 200
        assert bob.get(f"/gradio_api/file={path}").status_code == 404
        said = asked_by_path(bob, path)
        assert "a file of that name was not uploaded" in said
        assert "is not an image" in asked_by_path(ada, path)


@pytest.mark.slow
def test_a_proxy_names_the_user_and_a_large_file_is_refused(
    planner_url: str, tmp_path: Path
) -> None:
    more = ("--base-url", planner_url, "--proxy-header", "X-User", "--max-upload-mb", "1")
    with reading_room(tmp_path / "data", *more) as url, httpx2.Client(base_url=url) as client:
        assert client.get("/").status_code == 401
        known = {"X-User": "ada"} | OURS
        assert client.get("/", headers=known).status_code == 200
        assert client.get("/gradio_api/user", headers=known).json() == "ada"
        large = {"files": ("large.dcm", b"0" * 3_000_000)}
        assert client.post("/gradio_api/upload", files=large, headers=known).status_code == 413
