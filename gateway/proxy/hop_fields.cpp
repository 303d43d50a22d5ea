#include "proxy/hop_fields.h"

#include <algorithm>
#include <charconv>
#include <cstring>

namespace penstock::proxy {
namespace {
using http::HeaderId;

constexpr std::string_view max_forwards = "max-forwards";

std::string_view number_text(Arena& arena, uint32_t value) {
  char* text = static_cast<char*>(arena.allocate(10, 1));
  return {text, static_cast<size_t>(std::to_chars(text, text + 10, value).ptr - text)};
}

bool blank(char c) { return c == ' ' || c == '\t'; }

// The word in front of `rest`, which then begins behind it.
std::string_view take_word(std::string_view& rest) {
  while (!rest.empty() && blank(rest.front())) rest.remove_prefix(1);
  size_t end = std::min(rest.find_first_of(" \t,("), rest.size());
  std::string_view word = rest.substr(0, end);
  rest.remove_prefix(end);
  return word;
}

// To behind the next comma that is in no comment.
void skip_element(std::string_view& rest) {
  size_t depth = 0;
  while (!rest.empty()) {
    char c = rest.front();
    rest.remove_prefix(1);
    if (c == '\\' && depth > 0 && !rest.empty()) rest.remove_prefix(1);
    if (c == '(') ++depth;
    if (c == ')' && depth > 0) --depth;
    if (c == ',' && depth == 0) return;
  }
}

// An address as a Forwarded node: RFC 7239 section 6 has IPv6 in brackets and quotes, and a word for a peer
// that has none, who came by a unix socket.
std::string_view node(Arena& arena, std::string_view ip) {
  if (ip.starts_with("unix:")) return "unknown";
  return ip.find(':') == ip.npos ? ip : arena.join("\"[", ip, "]\"");
}

// A list that the nearest hops ends. It begins with the client, who is known by another family of fields when
// this one did not come.
std::string_view hops(RequestContext& context, HeaderId id, std::string_view client, std::string_view peer) {
  std::string_view before = joined(context.request.headers, id, ", ", context.arena);
  if (!before.data() && context.client != *context.peer) before = client;
  return before.empty() ? peer : context.arena.join(before, ", ", peer);
}

void add_x_forwarded(RequestContext& context, const ListenerInfo& listener, std::string_view peer) {
  http::Headers& headers = context.request.headers;
  headers.set(HeaderId::x_forwarded_for,
              hops(context, HeaderId::x_forwarded_for, context.client_address, peer));
  if (!headers.find(HeaderId::x_forwarded_proto)) headers.add(HeaderId::x_forwarded_proto, listener.scheme);
  if (!headers.find(HeaderId::x_forwarded_host) && !context.sent_host.empty())
    headers.add(HeaderId::x_forwarded_host, context.sent_host);
  if (!headers.find(HeaderId::x_forwarded_port) && context.listener_port)
    headers.add(HeaderId::x_forwarded_port, number_text(context.arena, context.listener_port));
}

void add_forwarded(RequestContext& context, const ListenerInfo& listener, std::string_view peer) {
  Arena& arena = context.arena;
  std::string_view host = context.sent_host;
  if (host.find(':') != host.npos) host = arena.join("\"", host, "\"");
  std::string_view element = arena.join("for=", node(arena, peer), ";proto=", listener.scheme);
  if (!host.empty()) element = arena.join(element, ";host=", host);
  std::string_view client = arena.join("for=", node(arena, context.client_address));
  context.request.headers.set(HeaderId::forwarded, hops(context, HeaderId::forwarded, client, element));
}

}  // namespace

bool same_ignoring_case(std::string_view a, std::string_view b) {
  auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; };
  return std::ranges::equal(a, b, [&](char x, char y) { return lower(x) == lower(y); });
}

std::string_view joined(const http::Headers& headers, HeaderId id, std::string_view separator, Arena& arena) {
  size_t size = 0, count = 0;
  std::string_view last;
  for (const http::Field& field : headers.fields()) {
    if (field.id != id) continue;
    last = field.value;
    size += last.size() + separator.size();
    ++count;
  }
  if (count < 2) return last;
  char* out = static_cast<char*>(arena.allocate(size, 1));
  char* at = out;
  auto put = [&](std::string_view text) {
    if (!text.empty()) std::memcpy(at, text.data(), text.size());
    at += text.size();
  };
  for (const http::Field& field : headers.fields()) {
    if (field.id != id) continue;
    if (at != out) put(separator);
    put(field.value);
  }
  return {out, static_cast<size_t>(at - out)};
}

void add_hop_fields(RequestContext& context, const ListenerInfo& listener) {
  using enum config::ForwardedForm;
  char* text = static_cast<char*>(context.arena.allocate(INET6_ADDRSTRLEN, 1));
  std::string_view peer{text, context.peer->write_ip(text)};
  if (listener.forwarded != standard) add_x_forwarded(context, listener, peer);
  if (listener.forwarded != x) add_forwarded(context, listener, peer);
  http::Message& head = context.request;
  add_via(head, listener.via);
  if (HopsLeft left = hops_left(head); left.kind == HopsLeft::Kind::counted && left.hops > 0)
    head.headers.set(max_forwards, number_text(context.arena, left.hops - 1));
}

void add_via(http::Message& head, std::string_view via) {
  if (via.empty()) return;
  std::string_view protocol = head.version == http::Version::http_1_0   ? "1.0 "
                              : head.version == http::Version::http_1_1 ? "1.1 "
                                                                        : "2.0 ";
  head.headers.add(HeaderId::via, head.headers.arena().join(protocol, via));
}

bool came_by(const http::Headers& headers, std::string_view name) {
  for (const http::Field& field : headers.fields()) {
    if (field.id != HeaderId::via) continue;
    for (std::string_view rest = field.value; !rest.empty(); skip_element(rest)) {
      take_word(rest);  // received-protocol
      if (same_ignoring_case(take_word(rest), name)) return true;
    }
  }
  return false;
}

HopsLeft hops_left(const http::Message& request) {
  using Kind = HopsLeft::Kind;
  if (request.method != http::Method::options && request.method != http::Method::trace) return {};
  const http::Field* found = nullptr;
  for (const http::Field& field : request.headers.fields()) {
    if (field.name != max_forwards) continue;
    if (found) return {Kind::malformed};
    found = &field;
  }
  if (!found) return {};
  uint32_t hops = 0;
  const char* end = found->value.data() + found->value.size();
  auto [stop, error] = std::from_chars(found->value.data(), end, hops);
  if (stop != end || error == std::errc::invalid_argument) return {Kind::malformed};
  return {Kind::counted, error == std::errc{} ? hops : UINT32_MAX};  // more than any way has
}

}  // namespace penstock::proxy
