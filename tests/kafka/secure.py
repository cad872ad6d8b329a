"""Listeners with login and with TLS for the test brokers, and an authorizer that lets only some users in.

LOGIN speaks SASL_PLAINTEXT, LOGINTLS SASL_SSL, both with PLAIN and SCRAM-SHA-256: `ann` may do everything, the others what
GRANTED says, `bob` nothing. TLS wants no login. The certificate is its own authority, for 127.0.0.1 alone; `other.pem` is an
authority that signed nothing. Whoever comes without a name (the other listeners) may do everything.
"""
import os
import shutil
import subprocess

from wire import GROUP, TOPIC

USERS = {name: f"{name}-secret" for name in ("ann", "bob", "uses", "reads", "writes", "watches")}
# On topics whose names begin with `t-`: `uses` is a user of topics that somebody else creates.
GRANTED = [(user, operation, TOPIC, "t-") for user, operations in
           {"uses": "Read Write DescribeConfigs", "reads": "Read DescribeConfigs", "writes": "Write DescribeConfigs",
            "watches": "Describe"}.items()
           for operation in operations.split()] + [("watches", "Describe", GROUP, "t-")]
FORMAT = [part for name, password in USERS.items()
          for part in ("--add-scram", f"SCRAM-SHA-256=[name={name},password={password}]")]


def missing_tools():
    return None if shutil.which("openssl") else "no openssl on PATH to make certificates with: apt-get install openssl"


class Listeners:
    def __init__(self, folder):
        self.certificate, key = os.path.join(folder, "ca.pem"), os.path.join(folder, "key.pem")
        self.store, self.other = os.path.join(folder, "server.pem"), os.path.join(folder, "other.pem")
        for certificate in (self.other, self.certificate):
            subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj",
                            "/CN=tidegate-test", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate],
                           check=True, capture_output=True)
        with open(self.store, "w", encoding="ascii") as out:
            for part in (key, self.certificate):
                with open(part, encoding="ascii") as text:
                    out.write(text.read())

    def add(self, properties, login_port, tls_port, login_tls_port):
        """The broker's properties with the listeners added."""
        lines = []
        for line in properties.splitlines():
            name, _, value = line.partition("=")
            if name in ("listeners", "advertised.listeners"):
                line = f"{name}={value},LOGIN://127.0.0.1:{login_port},TLS://127.0.0.1:{tls_port},LOGINTLS://127.0.0.1:{login_tls_port}"
            elif name == "listener.security.protocol.map":
                line = f"{name}={value},LOGIN:SASL_PLAINTEXT,TLS:SSL,LOGINTLS:SASL_SSL"
            lines.append(line)
        users = " ".join(f'user_{name}="{password}"' for name, password in USERS.items())
        plain, scram = (f"org.apache.kafka.common.security.{kind} required" for kind in
                        ("plain.PlainLoginModule", "scram.ScramLoginModule"))
        for listener in ("login", "logintls"):
            lines += [f"listener.name.{listener}.sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256",
                      f"listener.name.{listener}.plain.sasl.jaas.config={plain} {users};",
                      f"listener.name.{listener}.scram-sha-256.sasl.jaas.config={scram};"]
        for listener in ("tls", "logintls"):
            lines += [f"listener.name.{listener}.ssl.keystore.type=PEM",
                      f"listener.name.{listener}.ssl.keystore.location={self.store}"]
        lines += [
            "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users=User:ANONYMOUS;User:ann",
        ]
        return "\n".join(lines) + "\n"
