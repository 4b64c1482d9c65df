"""Serves acme2certifier over HTTPS: `serve.py PORT DNS_PORT CERTIFICATE KEY`. ACME_SRV_CONFIGFILE has its settings.

It comes as a WSGI application, for which this is the web server; and it asks DNS servers at port 53 alone, for which
this is the number of another port.
"""

import socketserver
import ssl
import sys
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
server.set_app(application)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[3], sys.argv[4])
server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
