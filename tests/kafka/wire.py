"""The one Kafka request that the harness needs: Metadata (version 4), to see who is up and who leads a partition."""
import socket
import struct

TIMEOUT_S = 2.0
METADATA, VERSION = 3, 4


class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, form):
        values = struct.unpack_from(">" + form, self.data, self.at)
        self.at += struct.calcsize(">" + form)
        return values[0]

    def text(self):
        size = self.take("h")
        if size < 0:
            return None
        self.at += size
        return self.data[self.at - size:self.at].decode()

    def array(self, read):
        return [read() for _ in range(max(0, self.take("i")))]


def text(value):
    return struct.pack(">h", len(value)) + value.encode()


def receive(connection, size):
    data = b""
    while len(data) < size:
        more = connection.recv(size - len(data))
        if not more:
            raise ConnectionError("the broker closed the connection")
        data += more
    return data


def metadata(host, port, topics=None):
    """-> {"brokers": {node: (host, port)}, "controller": node, "topics": {name: {partition: {leader, replicas, isr, error}}}}"""
    wanted = struct.pack(">i", -1) if topics is None else struct.pack(">i", len(topics)) + b"".join(map(text, topics))
    body = struct.pack(">hhi", METADATA, VERSION, 1) + text("tidegate-tests") + wanted + b"\0"
    with socket.create_connection((host, port), timeout=TIMEOUT_S) as connection:
        connection.sendall(struct.pack(">i", len(body)) + body)
        size = struct.unpack(">i", receive(connection, 4))[0]
        read = Reader(receive(connection, size))
    read.take("i"), read.take("i")                                # correlation, throttling

    def broker():
        node, name, at = read.take("i"), read.text(), read.take("i")
        read.text()                                               # rack
        return node, (name, at)

    def partition():
        error, index, leader = read.take("h"), read.take("i"), read.take("i")
        replicas, isr = read.array(lambda: read.take("i")), read.array(lambda: read.take("i"))
        return index, {"leader": leader, "replicas": replicas, "isr": isr, "error": error}

    def topic():
        error, name = read.take("h"), read.text()
        read.take("?")                                            # internal
        partitions = dict(read.array(partition))
        return (name, partitions) if error == 0 else (name, {})

    brokers = dict(read.array(broker))
    read.text()                                                   # cluster id
    controller = read.take("i")
    return {"brokers": brokers, "controller": controller, "topics": dict(read.array(topic))}
