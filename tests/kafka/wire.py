"""The Kafka requests that the harness needs: who is up, who leads a partition or is the controller, where it ends, removing its
records, adding partitions, giving back the lead; letting users in."""
import socket
import struct

TIMEOUT_S = 2.0
METADATA, VERSION = 3, 4
LIST_OFFSETS, LATEST = 2, -1
DELETE_RECORDS, THE_END = 21, -1
DESCRIBE_QUORUM = 55
NO_TAGS = b"\0"
CREATE_PARTITIONS, ANYWHERE = 37, -1
CREATE_ACLS = 30
TOPIC, GROUP, PREFIXED, ALLOW = 2, 3, 4, 3
OPERATIONS = {"Read": 3, "Write": 4, "Create": 5, "Describe": 8, "DescribeConfigs": 10}
ELECT_LEADERS = 43


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


def ask(host, port, request):
    """Sends one request; what follows the answer's correlation id."""
    with socket.create_connection((host, port), timeout=TIMEOUT_S) as connection:
        connection.sendall(struct.pack(">i", len(request)) + request)
        read = Reader(receive(connection, struct.unpack(">i", receive(connection, 4))[0]))
    read.take("i")
    return read


def end_offset(host, port, topic, partition):
    """Where the partition ends, asked of its leader (ListOffsets, version 1); None if it would not say."""
    read = ask(host, port, struct.pack(">hhi", LIST_OFFSETS, 1, 1) + text("tidegate-tests") + struct.pack(">ii", -1, 1) + text(topic)
               + struct.pack(">iiq", 1, partition, LATEST))
    read.take("i"), read.text(), read.take("i")                   # one topic, one partition
    _, error, _, offset = read.take("i"), read.take("h"), read.take("q"), read.take("q")
    return offset if error == 0 else None


def delete_records(host, port, topic, below):
    """Removes what is below these offsets, {partition: offset}, as retention would, asked of their leader (DeleteRecords, version 1)."""
    body = b"".join(struct.pack(">iq", partition, offset) for partition, offset in below.items())
    read = ask(host, port, struct.pack(">hhi", DELETE_RECORDS, 1, 1) + text("tidegate-tests") + struct.pack(">i", 1) + text(topic)
               + struct.pack(">i", len(below)) + body + struct.pack(">i", int(TIMEOUT_S * 1000)))
    read.take("i"), read.take("i"), read.text()                   # throttling, one topic
    errors = [error for _, _, error in read.array(lambda: (read.take("i"), read.take("q"), read.take("h"))) if error]
    if errors:
        raise RuntimeError(f"the records of {topic} could not be removed: errors {errors}")


def create_partitions(host, port, topic, partitions):
    """Gives a topic so many partitions in all (CreatePartitions, version 0): what `kafka-topics --alter --partitions` does."""
    read = ask(host, port, struct.pack(">hhi", CREATE_PARTITIONS, 0, 1) + text("tidegate-tests") + struct.pack(">i", 1) + text(topic)
               + struct.pack(">iii?", partitions, ANYWHERE, int(TIMEOUT_S * 1000), False))
    read.take("i")                                                # throttling
    for _, error, why in read.array(lambda: (read.text(), read.take("h"), read.text())):
        if error:
            raise RuntimeError(f"{topic} did not get {partitions} partitions: {why or error}")


def quorum_leader(host, port):
    """The active controller (DescribeQuorum, version 0, whose texts and lists are compact); None if there is none."""
    topic = b"__cluster_metadata"
    partitions = b"\2" + struct.pack(">i", 0) + NO_TAGS
    read = ask(host, port, struct.pack(">hhi", DESCRIBE_QUORUM, 0, 1) + text("tidegate-tests") + NO_TAGS
               + b"\2" + bytes([len(topic) + 1]) + topic + partitions + NO_TAGS + NO_TAGS)
    read.take("b")                                                # tags
    error, topics = read.take("h"), read.take("b")
    if error or topics != 2:
        return None
    name = read.take("b") - 1
    read.at += name
    read.take("b"), read.take("i")                                # one partition, 0
    return None if read.take("h") else read.take("i")


def elect_preferred(host, port, topic, partition):
    """The first of the partition's replicas leads it again (ElectLeaders, version 0). True: it does now."""
    read = ask(host, port, struct.pack(">hhi", ELECT_LEADERS, 0, 1) + text("tidegate-tests") + struct.pack(">i", 1) + text(topic)
               + struct.pack(">iii", 1, partition, int(TIMEOUT_S * 1000)))
    read.take("i")                                                # throttling
    errors = [one for _, of in read.array(lambda: (read.text(), read.array(lambda: (read.take("i"), read.take("h"), read.text()))))
              for one in of if one[1]]
    return not errors


def create_acls(host, port, granted):
    """Lets users in (CreateAcls, version 1). `granted`: (user, operation, TOPIC or GROUP, beginning of their names)."""
    def rule(user, operation, kind, prefix):
        return (struct.pack(">b", kind) + text(prefix) + struct.pack(">b", PREFIXED) + text(f"User:{user}") + text("*")
                + struct.pack(">bb", OPERATIONS[operation], ALLOW))
    rules = [rule(*one) for one in granted]
    read = ask(host, port, struct.pack(">hhi", CREATE_ACLS, 1, 1) + text("tidegate-tests") + struct.pack(">i", len(rules)) + b"".join(rules))
    read.take("i")                                                # throttling
    for error, why in read.array(lambda: (read.take("h"), read.text())):
        if error:
            raise RuntimeError(f"no ACL created: {why or error}")


def metadata(host, port, topics=None):
    """-> {"brokers": {node: (host, port)}, "controller": node, "topics": {name: {partition: {leader, replicas, isr, error}}}}"""
    wanted = struct.pack(">i", -1) if topics is None else struct.pack(">i", len(topics)) + b"".join(map(text, topics))
    body = struct.pack(">hhi", METADATA, VERSION, 1) + text("tidegate-tests") + wanted + b"\0"
    read = ask(host, port, body)
    read.take("i")                                                # throttling

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
