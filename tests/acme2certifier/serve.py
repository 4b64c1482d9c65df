"""Serves acme2certifier over HTTPS: `serve.py PORT DNS_PORT CERTIFICATE KEY`. ACME_SRV_CONFIGFILE has its settings.

It comes as a WSGI application, for which this is the web server; and it asks DNS servers at port 53 alone, for which
this is the number of another port. With REFUSE_EACH=N, each Nth request has its nonce refused, as an authority may (RFC
8555 section 6.5), and with PAUSE_MS every answer takes its time.
"""

import itertools
import json
import os
import socketserver
import ssl
import sys
import time
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

import dns.resolver

port, dns_port = int(sys.argv[1]), int(sys.argv[2])


class Resolver(dns.resolver.Resolver):
    """One whose servers listen on that port."""

    def reset(self):
        super().reset()
        self.port = dns_port


dns.resolver.Resolver = Resolver

# After the resolver, of which some modules take a copy.
from acme2certifier.share.acme2certifier_wsgi import application  # noqa: E402


refuse_each = int(os.environ.get("REFUSE_EACH", "0"))
pause_s = int(os.environ.get("PAUSE_MS", "0")) / 1000
signed = itertools.count(1)


def fresh_nonce(environ):
    """One that the authority takes, as it gives it to whoever asks."""
    asked = environ | {"REQUEST_METHOD": "HEAD", "PATH_INFO": "/acme/newnonce"}
    found = []
    list(application(asked, lambda _, headers: found.extend(headers)))
    return next(value for name, value in found if name.lower() == "replay-nonce")


def moody(environ, start_response):
    """The authority, which refuses a nonce now and then, and thinks before it answers."""
    if pause_s:  # Nobody sleeps in the time of faketime, not even for no time.
        time.sleep(pause_s)
    is_signed = environ["REQUEST_METHOD"] == "POST"
    if not (is_signed and refuse_each and next(signed) % refuse_each == 0):
        return application(environ, start_response)
    environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    said = {"type": "urn:ietf:params:acme:error:badNonce", "detail": "not this one"}
    headers = [("Content-Type", "application/problem+json"), ("Replay-Nonce", fresh_nonce(environ))]
    start_response("400 Bad Request", headers)
    return [json.dumps(said).encode()]


class Server(socketserver.ThreadingMixIn, WSGIServer):
    """A thread for each connection, and no question about the name of an address."""

    daemon_threads = True

    def server_bind(self):
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = "localhost", port
        self.setup_environ()


class Handler(WSGIRequestHandler):
    """Says that it is HTTPS: the server's addresses begin with that."""

    def get_environ(self):
        return super().get_environ() | {"HTTPS": "on", "wsgi.url_scheme": "https"}

    def address_string(self):
        return self.client_address[0]


server = Server(("127.0.0.1", port), Handler)
server.set_app(moody)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[3], sys.argv[4])
server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
