#!/usr/bin/env bash
# Installs what the tests run in MongoDB's place, for no mongod can be had from Debian, PyPI or Maven: two servers that
# speak its protocol. Both are started alike, in the foreground, on 127.0.0.1: .deps/mongodb/NAME PORT DIRECTORY.
#
#   secantusdb         Python, on WiredTiger, MongoDB's own storage engine. Presents itself as a replica set of one.
#                      GPL-2.0: a process beside the tests, never a part of what is built. All its releases are betas.
#   mongo-java-server  Java, on H2. Presents itself as a standalone server, without retryable writes. Compares strings by their
#                      UTF-16 units, not their UTF-8 bytes, and has to be told to claim a version the Go driver talks to.
#
# Neither has elections or waits for a disk: what a majority or a journal promises is tested on a real MongoDB alone.
#
# Needs python3 (with venv), java and javac 17 or later, and mvn. Does nothing when all is there.
set -euo pipefail

top=$(cd "$(dirname "$0")/../.." && pwd)
deps=$top/.deps
servers=$deps/mongodb
python_packages=(
  secantusdb==0.7.0b3
  # What it leaves open.
  pymongo==4.20.0 s2sphere==0.2.5 shapely==2.2.0 python-dateutil==4.0.0 numpy==2.4.6 dnspython==2.9.2
)
java_version=1.47.0

for tool in python3 java javac mvn; do
  command -v "$tool" >/dev/null || { echo "deps: no $tool; apt-get install python3-venv openjdk-17-jdk-headless maven" >&2; exit 1; }
done

say() { printf 'deps: %s\n' "$*"; }

# fresh STAMP WHAT: it is installed already, in these versions.
fresh() { [ "$(cat "$1" 2>/dev/null)" = "$2" ]; }

# launcher NAME, its script from stdin; by rename, for tests may be starting the old one.
launcher() {
  cat >"$servers/$1.new"
  chmod +x "$servers/$1.new"
  mv "$servers/$1.new" "$servers/$1"
}

mkdir -p "$servers"

python=$deps/secantusdb
if ! fresh "$python/.installed" "${python_packages[*]}"; then
  say "${python_packages[0]} into .deps/secantusdb (MongoDB-compatible server for the tests)"
  [ -x "$python/bin/pip" ] || python3 -m venv "$python"
  "$python/bin/pip" install --quiet --disable-pip-version-check "${python_packages[@]}"
  echo "${python_packages[*]}" >"$python/.installed"
fi
launcher secantusdb <<EOF
#!/bin/sh
exec "$python/bin/secantusd-py" --host 127.0.0.1 --port "\$1" --storage-path "\$2" --cache-size 64M --log-level WARNING
EOF

java=$deps/mongo-java-server
source=$top/e2e/deps/MongoServer.java
wanted="$java_version $(cksum <"$source")"
if ! fresh "$java/.installed" "$wanted"; then
  say "mongo-java-server $java_version into .deps/mongo-java-server (MongoDB-compatible server for the tests)"
  rm -rf "$java"
  mkdir -p "$java"
  cat >"$java/pom.xml" <<EOF
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>deps</groupId><artifactId>deps</artifactId><version>1</version>
  <dependencies><dependency>
    <groupId>de.bwaldvogel</groupId><artifactId>mongo-java-server-h2-backend</artifactId><version>$java_version</version>
  </dependency></dependencies>
</project>
EOF
  mvn --quiet --batch-mode -f "$java/pom.xml" dependency:copy-dependencies -DoutputDirectory="$java/lib"
  javac -cp "$java/lib/*" -d "$java" "$source"
  echo "$wanted" >"$java/.installed"
fi
launcher mongo-java-server <<EOF
#!/bin/sh
exec java -Xms64m -Xmx1g -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -cp "$java:$java/lib/*" MongoServer "\$1" "\$2/h2"
EOF
