"""What a page costs in a site of 100,000 posts against one of 110, rendered at every request."""

from common import compare, need, wrk

TARGET = 1.5
PAGES = ["/", "/posts/version-55", "/tags/news", "/archive", "/archive/2024", "/feed.xml"]


def measure(place, args):
    need("wrk")
    sites = [place.site(place.seed(f"{posts}-posts", posts), cache_mib=0) for posts in (110, 100_000)]
    seconds = min(args.seconds, 1)
    for page in PAGES:
        costs = ([], [])
        for site in sites:
            wrk(site.url + page, 1, connections=1)
        for _ in range(args.rounds or 20):
            for site, cost in zip(sites, costs):
                # One connection, one request at a time: microseconds for each.
                cost.append(1e6 / wrk(site.url + page, seconds, connections=1))
        few, many = costs
        compare(page, many, few, TARGET, at_least=False, unit="µs", names=("100,000 posts", "110 posts"))
