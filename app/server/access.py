"""Where the app can be reached: by which names, below which path, and through which proxies."""

from __future__ import annotations

import errno
import ipaddress
import re
import socket
from collections.abc import Iterable
from dataclasses import dataclass

import psutil

from engine.errors import ConfigError, ServerError

LOOPBACK = ("127.0.0.1", "localhost", "::1")
EVERYWHERE = ("0.0.0.0", "::")
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_PATH = re.compile(r"(/[A-Za-z0-9._~-]+)*")
_HOST = re.compile(r"[a-z0-9.-]{1,253}|[0-9a-f:.]{2,45}")


@dataclass(frozen=True, slots=True)
class Access:
    """By what the gate tells a request that is meant for this app.

    hosts: names that it answers to. base_path: where it lies on its host, "" or as "/lab". proxies: whose forwarded
    headers are believed; those of anybody else are not looked at.
    """

    hosts: tuple[str, ...] = LOOPBACK
    base_path: str = ""
    proxies: tuple[Network, ...] = ()

    def is_proxy(self, address: str) -> bool:
        """Return whether a request from this address comes from a proxy that was named."""
        try:
            found = ipaddress.ip_address(address)
        except ValueError:
            return False
        if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped is not None:
            found = found.ipv4_mapped
        return any(found in one for one in self.proxies)


def access(address: str, allowed: Iterable[str] = (), base_path: str = "", proxies: Iterable[str] = ()) -> Access:
    """Return how the app can be reached, out of the command's options.

    Args:
        address: where it listens; everywhere, it answers to the addresses and the name of this machine.
        allowed: further names, as `--allow-host`.
        base_path: as `--base-path`.
        proxies: addresses or networks, as `--behind-proxy`.

    Raises:
        ConfigError: one of them is none.
    """
    own = own_names() if address in EVERYWHERE else (address.lower(),)
    names = tuple(dict.fromkeys((*LOOPBACK, *own, *(_host(one) for one in allowed))))
    return Access(names, _base_path(base_path), tuple(_network(one) for one in proxies))


def own_names() -> tuple[str, ...]:
    """Return this machine's addresses in its networks, then its name."""
    found = [
        one.address.partition("%")[0]
        for every in psutil.net_if_addrs().values()
        for one in every
        if one.family in (socket.AF_INET, socket.AF_INET6)
    ]
    outside = [one for one in found if not ipaddress.ip_address(one).is_loopback]
    outside.sort(key=lambda one: (":" in one, ipaddress.ip_address(one).is_link_local))
    return (*dict.fromkeys(outside), socket.gethostname().lower())


def urls(address: str, port: int, reached: Access, allowed: Iterable[str] = ()) -> list[str]:
    """Return addresses that a browser can open, the best first."""
    if reached.proxies:
        return [f"https://{name}{reached.base_path}/" for name in allowed] or [_url("127.0.0.1", port, reached)]
    if address not in EVERYWHERE:
        return [_url(address, port, reached), *(_url(_host(one), port, reached) for one in allowed)]
    outside = [one for one in own_names() if ":" not in one]
    return [_url(name, port, reached) for name in dict.fromkeys(("127.0.0.1", *outside, *map(_host, allowed)))]


def _url(name: str, port: int, reached: Access) -> str:
    return f"http://{f'[{name}]' if ':' in name else name}:{port}{reached.base_path}/"


def _host(name: str) -> str:
    plain = name.strip().strip("[]").rstrip(".").lower()
    if not _HOST.fullmatch(plain):
        raise ConfigError(
            "This is no host name", value=name, way_out="Give it as in lab.example.org, without scheme, port and path."
        )
    return plain


def _base_path(path: str) -> str:
    plain = f"/{path.strip('/')}" if path.strip("/") else ""
    if not _PATH.fullmatch(plain) or any(part in {".", ".."} for part in plain.split("/")) or plain == "/starling":
        raise ConfigError("This is no path to lie below", value=path, way_out="Give it as in --base-path /lab.")
    return plain


def _network(text: str) -> Network:
    try:
        return ipaddress.ip_network(text.strip(), strict=False)
    except ValueError:
        raise ConfigError(
            "This is no address of a proxy", value=text, way_out="Give it as in --behind-proxy 127.0.0.1."
        ) from None


def free_port(address: str, port: int) -> int:
    """Return `port` if it can be bound.

    Raises:
        ServerError: it is in use, or the address is not this machine's.
    """
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise ServerError(
                    "The port is in use",
                    value=f"{address}:{port}",
                    way_out=f"Another Starling may be running there. Choose another: --port {port + 1}.",
                ) from error
            raise ServerError(
                f"The address cannot be listened on ({error.strerror})",
                value=f"{address}:{port}",
                way_out="Use --address 127.0.0.1.",
            ) from error
        return int(probe.getsockname()[1])
