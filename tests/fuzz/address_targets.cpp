// Paths, hosts and forwarding fields: what routing, keys and logs are built on.
#include <algorithm>
#include <optional>

#include "fuzz/gateway_reader.h"
#include "fuzz/reference_reader.h"
#include "fuzz/targets.h"
#include "http/http1/syntax.h"
#include "proxy/canonical_path.h"
#include "proxy/client_facts.h"

namespace penstock::fuzz {
namespace {

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

bool unreserved(int c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' || c == '.' ||
         c == '_' || c == '~';
}

void check_canonical(std::string_view path) {
  promise(path.starts_with('/'), "a canonical path begins with a slash", path);
  for (size_t i = 0; i < path.size(); ++i) {
    promise(path[i] > 0x20 && path[i] < 0x7f && path[i] != '\\' && path[i] != '?' && path[i] != '#',
            "a byte that no path has", path);
    if (path[i] != '%') continue;
    promise(i + 2 < path.size(), "an escape is whole", path);
    int high = hex_digit(path[i + 1]), low = hex_digit(path[i + 2]);
    promise(high >= 0 && low >= 0, "an escape is two upper-case digits", path);
    int byte = high * 16 + low;
    promise(!unreserved(byte) && byte != 0 && byte != '/' && byte != '\\', "no escape that should not be",
            path);
  }
  for (std::string_view rest = path; !rest.empty();) {
    rest.remove_prefix(1);
    std::string_view segment = rest.substr(0, rest.find('/'));
    rest.remove_prefix(segment.size());
    promise(segment != "." && segment != "..", "no dot segments", path);
    promise(!segment.empty() || rest.empty(), "no empty segments", path);
  }
}

// A stream with nothing but a peer.
class PeerStream final : public http::Stream {
 public:
  explicit PeerStream(std::string_view ip) : peer_(*net::Address::from_ip(ip, 1)), arena_(pool_) {}
  void send_informational(const http::Message&) override {}
  void send_head(const http::Message&, http::EndStream) override {}
  void send_data(std::string_view) override {}
  void send_trailers(const http::Headers&) override {}
  void send_end() override {}
  void flush() override {}
  size_t unsent() const override { return 0; }
  void pause(PauseReason) override {}
  void resume(PauseReason) override {}
  void release() override {}
  void reset() override {}
  void close_after() override {}
  Arena& arena() override { return arena_; }
  http::Version version() const override { return http::Version::http_1_1; }
  const net::Address& peer() const override { return peer_; }
  const net::Address& local() const override { return peer_; }
  const net::TlsInfo* tls() const override { return nullptr; }
  bool reused() const override { return false; }
  bool any_byte_received() const override { return true; }
  bool any_byte_sent() const override { return false; }
  uint64_t bytes_written() const override { return 0; }
  uint64_t bytes_received() const override { return 0; }
  uint64_t bytes_taken() const override { return 0; }
  uint64_t bytes_sent() const override { return 0; }
  uint64_t started_ms() const override { return 0; }

 private:
  net::Address peer_;
  BlockPool pool_;
  Arena arena_;
};

// The client as LANGUAGE says it, over all hops at once: the outermost of the unbroken chain of trusted ones,
// from the nearest on.
std::string expected_client(const std::vector<std::optional<net::Address>>& hops, const net::Cidr& trusted,
                            const std::string& peer) {
  std::string client = peer;
  for (auto hop = hops.rbegin(); hop != hops.rend() && *hop; ++hop) {
    client = (*hop)->ip();
    if (!trusted.contains(**hop)) break;
  }
  return client;
}

}  // namespace

void fuzz_uri(std::string_view bytes) {
  BlockPool pool;
  Arena arena(pool);
  auto path = proxy::canonical_path(arena, bytes);
  if (path && *path != "*") {
    check_canonical(*path);
    auto again = proxy::canonical_path(arena, *path);
    promise(again && *again == *path, "canonical is canonical", *path);
  }
  // The same bytes as a whole target.
  std::string line = "OPTIONS " + std::string(bytes) + " HTTP/1.1";
  auto read = http::http1::read_request_line(line);
  if (!read) return;
  promise(read->target == bytes, "the target is what stands between the blanks", bytes);
  http::Message head(arena);
  head.method = http::Method::options;
  head.target = read->target;
  head.headers.add("host", "x");
  if (!http::http1::frame_request(head)) return;
  if (head.path == "*") return;
  promise(head.path.starts_with('/'), "a path begins with a slash", bytes);
  promise(head.path.find('?') == std::string_view::npos, "no query in a path", bytes);
  promise(head.has_query || head.query.empty(), "no query where there is none", bytes);
}

void fuzz_host(std::string_view bytes) {
  BlockPool pool;
  Arena arena(pool);
  auto authority = http::http1::canonical_authority(bytes, arena);
  if (!authority) return;
  promise(reference::is_authority(bytes) && reference::is_authority(*authority),
          "an authority is one by RFC 3986", bytes);
  std::string plain = reference::lower(bytes);
  if (plain.ends_with(':')) plain.pop_back();
  promise(*authority == plain, "it is lower case without an empty port", bytes);
  promise(!authority->empty() && authority->front() != ':', "it has a host", bytes);
  auto again = http::http1::canonical_authority(*authority, arena);
  promise(again && *again == *authority, "canonical is canonical", bytes);
}

// The first byte chooses the field and whether the peer is trusted; lines are fields.
void fuzz_forwarded(std::string_view bytes) {
  if (bytes.empty()) return;
  bool standard = bytes[0] & 1, trusted = bytes[0] & 2;
  bytes.remove_prefix(1);
  if (std::ranges::any_of(bytes,
                          [](char c) { return (c < 0x20 && c >= 0 && c != '\n' && c != '\t') || c == 0x7f; }))
    return;
  proxy::ListenerInfo listener;
  listener.scheme = "http";
  listener.trusted_proxies = {*net::Cidr::parse("10.0.0.0/8")};
  listener.client_address =
      standard ? config::ClientAddress::forwarded : config::ClientAddress::x_forwarded_for;
  std::string peer = trusted ? "10.0.0.1" : "192.0.2.1";
  PeerStream stream(peer);
  BlockPool pool;
  Arena arena(pool);
  http::Message head(arena);
  std::vector<std::optional<net::Address>> hops;
  while (!bytes.empty()) {
    std::string_view line = bytes.substr(0, bytes.find('\n'));
    bytes.remove_prefix(std::min(line.size() + 1, bytes.size()));
    line = http::http1::trim(line);
    head.headers.add(standard ? "forwarded" : "x-forwarded-for", line);
    // An empty field has no hop; an empty element is a hop that nobody can read.
    for (size_t at = 0; !standard && !line.empty() && at <= line.size();) {
      std::string_view hop = line.substr(at, line.substr(at).find(','));
      at += hop.size() + 1;
      hop = http::http1::trim(hop);
      if (hop.size() >= 2 && hop.front() == '"' && hop.back() == '"') hop = hop.substr(1, hop.size() - 2);
      if (hop.starts_with('['))
        hop = hop.find(']') == hop.npos ? std::string_view() : hop.substr(1, hop.find(']') - 1);
      else if (std::ranges::count(hop, ':') == 1)
        hop = hop.substr(0, hop.find(':'));
      hops.push_back(net::Address::from_ip(hop, 0));
    }
  }
  proxy::RequestContext context(arena, head);
  proxy::Random random(1);
  proxy::fill_client_facts(context, listener, stream, random);
  promise(net::Address::from_ip(context.client_address, 0).has_value(), "the client's address is one",
          context.client_address);
  if (!trusted) {
    promise(context.client_address == peer, "an untrusted peer is the client itself");
    for (const http::Field& field : head.headers.fields())
      promise(field.name != "forwarded" && !field.name.starts_with("x-forwarded"),
              "its hops are not believed");
  } else if (!standard) {
    promise(context.client_address == expected_client(hops, listener.trusted_proxies[0], peer),
            "the client is the first hop that is no trusted proxy", context.client_address);
  }
}

}  // namespace penstock::fuzz
