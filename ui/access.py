"""Who is asking: one local user, users with passwords, or names that a reverse proxy vouches for."""

import ipaddress
import secrets
import time
from collections import OrderedDict
from collections.abc import Sequence
from http.cookies import CookieError, SimpleCookie
from typing import Any, Protocol

from starlette.datastructures import Headers

from overread.imaging.errors import ConfigError, InputError
from overread.ui.users import Users, check_user

LOOPBACK = ("127.0.0.0/8", "::1")
LOCAL_USER = "local"
COOKIE = "overread-login"
SESSION_S = 12 * 3600
_TRIES, _TRIES_S, _REMEMBERED = 10, 300.0, 10_000


class Access(Protocol):
    """Tells who sent a request."""

    logs_in: bool
    """Whether there is a page to log in at."""

    def user(self, scope: dict[str, Any]) -> str | None:
        """Return the user of an ASGI scope; None when nobody vouches for it."""


class LocalAccess:
    """Whoever can reach the port is the one local user; only for the loopback address."""

    logs_in = False

    def user(self, scope: dict[str, Any]) -> str | None:
        """Return the local user."""
        return LOCAL_USER


class ProxyAccess:
    """A header that a reverse proxy sets after it has authenticated someone."""

    logs_in = False

    def __init__(self, header: str, trusted: Sequence[str]) -> None:
        """Trust `header` from some addresses alone.

        Args:
            header: Its name, such as "X-Forwarded-User".
            trusted: Addresses or networks of the proxy, such as "127.0.0.1" or "10.0.0.0/8".

        Raises:
            ConfigError: An address cannot be read.
        """
        self._header = header
        try:
            self._trusted = [ipaddress.ip_network(item) for item in trusted]
        except ValueError as error:
            raise ConfigError(f"the proxy's address cannot be read: {error}") from error

    def user(self, scope: dict[str, Any]) -> str | None:
        """Return the header's name if the peer is the proxy, and there is exactly one name."""
        peer = scope.get("client")
        try:
            address = ipaddress.ip_address(peer[0]) if peer else None
        except ValueError:
            return None
        if address is None or not any(address in network for network in self._trusted):
            return None
        names = Headers(scope=scope).getlist(self._header)
        try:
            return check_user(names[0]) if len(names) == 1 else None
        except InputError:
            return None


class PasswordAccess:
    """Users who log in; a random token in a cookie stands for the login until it is too old."""

    logs_in = True

    def __init__(self, users: Users) -> None:
        """Check passwords against `users`; logins are kept in memory alone."""
        self._users = users
        self._tokens: OrderedDict[str, tuple[str, float]] = OrderedDict()
        self._failed: OrderedDict[str, list[float]] = OrderedDict()

    def user(self, scope: dict[str, Any]) -> str | None:
        """Return the user that the cookie's token was given to."""
        known = self._tokens.get(_cookie(scope))
        if known is None or known[1] < time.monotonic():
            return None
        return known[0] if known[0] in self._users.names() else None

    def log_in(self, name: str, password: str) -> str | None:
        """Return a token; None when name and password do not belong together.

        Raises:
            InputError: That name failed too often in the last minutes.
        """
        now = time.monotonic()
        failed = [at for at in self._failed.get(name, []) if now - at < _TRIES_S]
        if len(failed) >= _TRIES:
            raise InputError("too many failed logins; wait some minutes")
        if not self._users.check(name, password):
            _keep(self._failed, name, [*failed, now])
            return None
        self._failed.pop(name, None)
        token = secrets.token_urlsafe(32)
        _keep(self._tokens, token, (name, now + SESSION_S))
        return token

    def log_out(self, scope: dict[str, Any]) -> None:
        """Forget the token of a request."""
        self._tokens.pop(_cookie(scope), None)


def _cookie(scope: dict[str, Any]) -> str:
    try:
        found = SimpleCookie(Headers(scope=scope).get("cookie", "")).get(COOKIE)
    except CookieError:
        return ""
    return found.value if found else ""


def _keep(store: OrderedDict[str, Any], name: str, value: Any) -> None:
    store[name] = value
    store.move_to_end(name)
    while len(store) > _REMEMBERED:
        store.popitem(last=False)
