"""Once this is imported, Python reaches nothing but this computer.

Loopback stays: Jupyter talks to its kernels through it.
"""

import ipaddress
import socket


def _is_here(address) -> bool:
    if not isinstance(address, tuple):  # a Unix socket
        return True
    try:
        return ipaddress.ip_address(address[0]).is_loopback
    except ValueError:
        return address[0] in ("localhost", "")


def _guarded(method):
    def connect(self, address, *rest):
        if not _is_here(address):
            raise OSError(f"the tests block the network: {address!r}")
        return method(self, address, *rest)

    return connect


def _no_lookup(host, *rest, _lookup=socket.getaddrinfo, **options):
    name = host.decode() if isinstance(host, bytes) else host
    if name is not None and not _is_here((name, 0)):
        raise socket.gaierror(f"the tests block the network: {host!r}")
    return _lookup(host, *rest, **options)


socket.socket.connect = _guarded(socket.socket.connect)
socket.socket.connect_ex = _guarded(socket.socket.connect_ex)
socket.getaddrinfo = _no_lookup
