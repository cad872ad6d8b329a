"""Machines with a network of their own on one computer: a namespace and a TUN device each, joined by switch.c.

Needs root and /dev/net/tun. The namespaces have no names: they end with the processes that are in them, and nothing of
them is left on the computer, however the harness ends. The calling process itself becomes one of the machines.
"""
import ctypes
import fcntl
import os
import socket
import struct
import subprocess
import threading

HERE = os.path.dirname(os.path.abspath(__file__))
LIBC = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNET = 0x40000000
TUNSETIFF, IFF_TUN, IFF_NO_PI, IFF_UP_RUNNING = 0x400454CA, 0x0001, 0x1000, 0x41
SIOCSIFADDR, SIOCSIFNETMASK, SIOCSIFMTU, SIOCSIFFLAGS = 0x8916, 0x891C, 0x8922, 0x8914
MTU = 16000           # fewer packets, less work
HARNESS = 1           # the harness's own number
CUT = 1_000_000       # parts in a million that are lost


def missing():
    """The reason why this computer cannot do it, or None."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    if not os.access("/dev/net/tun", os.R_OK | os.W_OK):
        return "no /dev/net/tun"
    return None


def address(host):
    return f"10.77.0.{host}"


def _checked(result, what):
    if result != 0:
        raise OSError(ctypes.get_errno(), f"{what}: {os.strerror(ctypes.get_errno())}")


def _new_namespace(host):
    """The calling thread moves into a new namespace -> its TUN device, the namespace."""
    _checked(LIBC.unshare(CLONE_NEWNET), "unshare")
    tun = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    fcntl.ioctl(tun, TUNSETIFF, struct.pack("16sH22x", b"tun0", IFF_TUN | IFF_NO_PI))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        for what, ip in ((SIOCSIFADDR, address(host)), (SIOCSIFNETMASK, "255.255.0.0")):
            parts = struct.pack("HH4s8x", socket.AF_INET, 0, socket.inet_aton(ip))
            fcntl.ioctl(control, what, struct.pack("16s16s8x", b"tun0", parts))
        fcntl.ioctl(control, SIOCSIFMTU, struct.pack("16si20x", b"tun0", MTU))
        for name in (b"lo", b"tun0"):
            fcntl.ioctl(control, SIOCSIFFLAGS, struct.pack("16sH22x", name, IFF_UP_RUNNING))
    return tun, os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)


class Network:
    """`hosts` are numbers from 2 to 254; each is reached at `address(host)`."""

    def __init__(self, hosts, folder):
        self.namespaces, self.rules = {}, {}
        tuns = {}
        for host in hosts:
            made = []
            thread = threading.Thread(target=lambda host=host, made=made: made.append(_new_namespace(host)))
            thread.start()
            thread.join()
            if not made:
                raise OSError(f"no namespace for host {host}: see above")
            tuns[host], self.namespaces[host] = made[0]
        # This thread last: all later threads and processes inherit where it is.
        tuns[HARNESS], self.namespaces[HARNESS] = _new_namespace(HARNESS)
        program = os.path.join(folder, "switch")
        subprocess.run(["cc", "-O2", "-o", program, os.path.join(HERE, "switch.c")], check=True)
        self.switch = subprocess.Popen([program] + [f"{fd}:{host}" for host, fd in tuns.items()], pass_fds=tuple(tuns.values()),
                                       stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True)
        for fd in tuns.values():
            os.close(fd)
        if self.switch.stdout.readline() != "ready\n":
            raise RuntimeError("the switch did not start")

    def enter(self, host):
        """What a child calls before it becomes the program that runs on `host`."""
        namespace = self.namespaces[host]

        def move():
            if LIBC.setns(namespace, CLONE_NEWNET) != 0:
                os._exit(126)
        return move

    def _ask(self, lines):
        self.switch.stdin.write("".join(f"{line}\n" for line in lines))
        self.switch.stdin.flush()
        return [self.switch.stdout.readline().strip() for _ in lines]

    def set(self, sources, targets, loss_ppm=0, delay_ms=0.0):
        """What happens to all that goes from any of `sources` to any of `targets`."""
        pairs = [(a, b) for a in sources for b in targets if a != b]
        answers = self._ask([f"set {a} {b} {loss_ppm} {int(delay_ms * 1000)}" for a, b in pairs])
        if any(answer != "ok" for answer in answers):
            raise RuntimeError(f"the switch answered {answers}")

    def cut(self, sources, targets):
        self.set(sources, targets, loss_ppm=CUT)

    def heal(self, sources, targets):
        self.set(sources, targets)
        self.set(targets, sources)

    def count(self):
        """-> packets forwarded, lost and delayed since the last call."""
        return tuple(int(number) for number in self._ask(["count"])[0].split())

    def stop(self):
        self.switch.stdin.close()
        self.switch.wait(10)
        self.switch.stdout.close()
        for namespace in self.namespaces.values():
            os.close(namespace)
        self.namespaces.clear()
