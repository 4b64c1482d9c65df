"""A post from the page cache against a bare actix-web handler that holds the same bytes."""

from common import compare, cpu_seconds, free_port, h2load, need, path_of, urls, wait_for, wrk

TARGET = 0.9


def measure(place, args):
    need("wrk", "h2load")
    data = place.blog(args.blog)
    site = place.site(data)
    # The post whose page is the median in length.
    bodies = sorted((len(site.get(path)[2]), path) for path in urls(site)[:200])
    path = bodies[len(bodies) // 2][1]
    plain, brotli = place.path / "plain", place.path / "brotli"
    host = f"localhost:{site.port}"
    _, headers, body = site.get(path)
    plain.write_bytes(body)
    kept = place.path / "headers"
    made_anew = {"content-length", "connection", "date"}
    kept.write_text("".join(f"{name}: {value}\n" for name, value in headers.items()
                            if name.lower() not in made_anew))
    brotli.write_bytes(site.get(path, {"Accept-Encoding": "br"})[2])
    print(f"the post: {plain.stat().st_size} bytes, {brotli.stat().st_size} in brotli")
    port = free_port()
    peer = place.start([path_of("bare"), data, port, plain, brotli, kept])
    wait_for(port, "/plain")
    bare = f"https://localhost:{port}"
    rounds = args.rounds or 5
    for what, load, sent, bare_path in [
        ("HTTP/1.1", wrk, [], "/plain"),
        ("HTTP/1.1, br", wrk, ["Accept-Encoding: br"], "/br"),
        ("HTTP/2", h2load, [], "/plain"),
        ("HTTP/2, br", h2load, ["accept-encoding: br"], "/br"),
        ("HTTP/2, a peer with our headers", h2load, [], "/same"),
        ("HTTP/2, br, a peer with our headers", h2load, ["accept-encoding: br"], "/same-br"),
    ]:
        ours, theirs, our_cpu, their_cpu = [], [], [], []
        load(site.url + path, 1, headers=sent)
        load(bare + bare_path, 1, headers=sent)
        for _ in range(rounds):
            for process, url, rates, costs in [(site.process, site.url + path, ours, our_cpu),
                                               (peer, bare + bare_path, theirs, their_cpu)]:
                before = cpu_seconds(process)
                rates.append(load(url, args.seconds, headers=sent))
                # h2load's second of warming up is not in its rate, but in the processor's time.
                seconds = max(1, round(args.seconds)) + (1 if load is h2load else 0)
                costs.append(1e6 * (cpu_seconds(process) - before) / (rates[-1] * seconds))
        names = ("webstead", "bare actix-web")
        compare(what, ours, theirs, TARGET, names=names)
        compare(f"{what}, processor time", our_cpu, their_cpu, 1 / TARGET, at_least=False,
                unit="µs a request", digits=1, names=names)
