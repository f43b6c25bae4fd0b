"""Package sources behind a certificate authority that nobody knows.

Makes an authority, a certificate for this container's own address, a Python package and a Debian
package; then serves an index of each over TLS. /ca.crt is there when the server answers.
"""

import hashlib
import http.server
import os
import pathlib
import ssl
import subprocess
import zipfile

root = pathlib.Path("/served")


def run(*command, **options):
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, **options)


def certificates():
    address = subprocess.check_output(["hostname", "-I"], text=True).split()[0]
    new = ["openssl", "req", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    run(*new, "-x509", "-subj", "/CN=Test Authority", "-keyout", "/ca.key", "-out", "/tmp/ca.crt")
    run(*new, "-subj", "/CN=packages", "-keyout", "/server.key", "-out", "/server.csr")
    pathlib.Path("/names").write_text(f"subjectAltName=IP:{address}\n")
    run("openssl", "x509", "-req", "-in", "/server.csr", "-CA", "/tmp/ca.crt", "-CAkey", "/ca.key",
        "-CAcreateserial", "-days", "2", "-extfile", "/names", "-out", "/server.crt")


def python_package():
    folder = root / "simple" / "greeting"
    folder.mkdir(parents=True)
    name = "greeting-1.0-py3-none-any.whl"
    info = "greeting-1.0.dist-info"
    with zipfile.ZipFile(folder / name, "w") as wheel:
        wheel.writestr("greeting.py", "WORD = 'hello'\n")
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: greeting\nVersion: 1.0\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: t\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", f"greeting.py,,\n{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n")
    (folder / "index.html").write_text(f'<a href="{name}">{name}</a>\n')


def debian_package():
    control = "Package: greeting-tool\nVersion: 1.0\nArchitecture: all\nMaintainer: t <t@example.org>\nDescription: t\n"
    tree = pathlib.Path("/tree")
    (tree / "DEBIAN").mkdir(parents=True)
    (tree / "DEBIAN" / "control").write_text(control)
    (tree / "usr" / "bin").mkdir(parents=True)
    tool = tree / "usr" / "bin" / "greeting-tool"
    tool.write_text("#!/bin/sh\necho hello\n")
    tool.chmod(0o755)
    folder = root / "apt"
    folder.mkdir(parents=True)
    file = folder / "greeting-tool.deb"
    run("dpkg-deb", "--root-owner-group", "--build", str(tree), str(file))
    content = file.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    about = f"Filename: ./greeting-tool.deb\nSize: {len(content)}\nSHA256: {digest}\n"
    (folder / "Packages").write_text(control + about)


certificates()
python_package()
debian_package()
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain("/server.crt", "/server.key")
os.chdir(root)
server = http.server.ThreadingHTTPServer(("", 8443), http.server.SimpleHTTPRequestHandler)
server.socket = context.wrap_socket(server.socket, server_side=True)
os.rename("/tmp/ca.crt", "/ca.crt")
server.serve_forever()
