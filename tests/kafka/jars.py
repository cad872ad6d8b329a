"""Apache Kafka's jars from Maven Central: fetched once per machine, checked by Maven's checksums, shared under a lock."""
import fcntl
import os
import shutil
import subprocess
import tempfile

KAFKA = "4.1.0"
SLF4J = "1.7.36"
TRIES = 3            # a registry that answers badly is asked again so often
DOWNLOAD_S = 600     # one try takes no longer

POM = f"""<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>
 <groupId>tidegate</groupId><artifactId>kafka-test-broker</artifactId><version>1</version><packaging>pom</packaging>
 <dependencies>
  <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>{KAFKA}</version></dependency>
  <dependency><groupId>org.slf4j</groupId><artifactId>slf4j-simple</artifactId><version>{SLF4J}</version></dependency>
 </dependencies></project>
"""


def cache_root():
    return os.environ.get("TIDEGATE_TEST_CACHE") or os.path.join(
        os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "tidegate")


def missing_tools():
    """The reason why no broker can run on this machine, or None."""
    if not shutil.which("java"):
        return "no java on PATH: install a Java 17 runtime (apt-get install openjdk-17-jre-headless)"
    if not os.path.isdir(jar_folder()) and not shutil.which("mvn"):
        return "no mvn on PATH to fetch Kafka's jars with: apt-get install maven"
    return None


def jar_folder():
    return os.path.join(cache_root(), f"kafka-{KAFKA}")


def fetch():
    """Returns the folder with the jars. It exists only when complete: it is filled elsewhere and then renamed."""
    folder = jar_folder()
    if os.path.isdir(folder):
        return folder
    os.makedirs(cache_root(), exist_ok=True)
    with open(folder + ".lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if os.path.isdir(folder):
            return folder
        work = tempfile.mkdtemp(prefix="kafka-", dir=cache_root())
        try:
            with open(os.path.join(work, "pom.xml"), "w", encoding="ascii") as pom:
                pom.write(POM)
            command = ["mvn", "-q", "-B", "--strict-checksums", "dependency:copy-dependencies",
                       "-DincludeScope=runtime", "-DoutputDirectory=libs"]
            for attempt in range(1, TRIES + 1):
                done = subprocess.run(command, cwd=work, stdin=subprocess.DEVNULL, timeout=DOWNLOAD_S, text=True,
                                      stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
                if done.returncode == 0:
                    break
                print(f"kafka jars: try {attempt} of {TRIES} failed\n{done.stdout[-2000:]}", flush=True)
            else:
                raise RuntimeError(f"maven could not fetch kafka {KAFKA}: see above; is Maven Central reachable?")
            os.rename(os.path.join(work, "libs"), folder)
        finally:
            shutil.rmtree(work, ignore_errors=True)
    return folder
