#include "config/parse_values.h"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>
#include <optional>
#include <span>

#include "config/wording.h"

namespace penstock::config {
namespace {

std::unexpected<Complaint> wrong(std::string message, std::string hint = {}) {
  return std::unexpected(Complaint{std::move(message), std::move(hint)});
}

struct Number {
  uint64_t value = 0;
  std::string_view unit;  // what follows the digits
};

std::optional<Number> leading_number(std::string_view text) {
  Number number;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number.value);
  if (error != std::errc()) return std::nullopt;
  number.unit = text.substr(static_cast<size_t>(end - text.data()));
  return number;
}

struct Unit {
  std::string_view name;
  uint64_t factor;
};

Parsed<uint64_t> with_unit(std::string_view text, std::span<const Unit> units, uint64_t limit,
                           std::string_view what, std::string_view examples) {
  const std::optional<Number> number = leading_number(text);
  if (!number) return wrong(fmt::format("is no {}", what), fmt::format("write {}", examples));
  if (number->unit.empty())
    return wrong(fmt::format("is no {}, the unit is missing", what),
                 fmt::format("write {}{}", number->value, units[0].name));
  for (const Unit& unit : units) {
    if (unit.name != number->unit) continue;
    if (number->value > limit / unit.factor) return wrong("is too large");
    return number->value * unit.factor;
  }
  return wrong(fmt::format("is no {}, '{}' is no unit of it", what, number->unit),
               fmt::format("write {}", examples));
}

// What http/ reads; any other is answered 501 before a route is looked for.
constexpr std::array<std::string_view, 34> methods{
    "GET",         "HEAD",       "POST",       "PUT",      "DELETE", "OPTIONS",  "PATCH",
    "TRACE",       "QUERY",      "COPY",       "LOCK",     "MKCOL",  "MOVE",     "PROPFIND",
    "PROPPATCH",   "SEARCH",     "UNLOCK",     "BIND",     "REBIND", "UNBIND",   "ACL",
    "REPORT",      "MERGE",      "MKACTIVITY", "CHECKOUT", "NOTIFY", "M-SEARCH", "SUBSCRIBE",
    "UNSUBSCRIBE", "MKCALENDAR", "PURGE",      "LINK",     "UNLINK", "SOURCE"};

bool is_token_byte(char c) {  // RFC 9110 section 5.6.2
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
}

std::string lower(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return out;
}

struct SplitAddress {
  std::string_view host;  // without brackets
  std::string_view port;
  bool bracketed = false;
};

// "host:port" or "[v6]:port" in its two parts.
std::optional<SplitAddress> split_address(std::string_view text) {
  if (text.starts_with('[')) {
    const size_t end = text.find("]:");
    if (end == text.npos) return std::nullopt;
    return SplitAddress{text.substr(1, end - 1), text.substr(end + 2), true};
  }
  const size_t colon = text.find(':');
  if (colon == text.npos || text.find(':', colon + 1) != text.npos) return std::nullopt;
  return SplitAddress{text.substr(0, colon), text.substr(colon + 1), false};
}

bool is_ip(int family, std::string_view text, unsigned char* bytes) {
  return inet_pton(family, std::string(text).c_str(), bytes) == 1;
}

}  // namespace

Parsed<Duration> parse_duration(std::string_view text) {
  // Days and years are there for what lasts that long (hsts); 20,000 hours are a little over two years.
  static constexpr std::array<Unit, 6> units{{{"s", 1000},
                                              {"ms", 1},
                                              {"m", 60'000},
                                              {"h", 3'600'000},
                                              {"d", uint64_t{24} * 3'600'000},
                                              {"y", uint64_t{365} * 24 * 3'600'000}}};
  const auto value = with_unit(text, units, uint64_t{20'000} * 3'600'000, "duration", "500ms, 5s, 2m or 1h");
  if (!value) return std::unexpected(value.error());
  return Duration(static_cast<int64_t>(*value));
}

Parsed<uint64_t> parse_size(std::string_view text) {
  static constexpr std::array<Unit, 3> units{{{"KiB", 1u << 10}, {"MiB", 1u << 20}, {"GiB", 1u << 30}}};
  return with_unit(text, units, uint64_t{1} << 50, "size", "64KiB, 10MiB or 1GiB");
}

Parsed<uint64_t> parse_byte_rate(std::string_view text) {
  static constexpr std::array<Unit, 3> units{{{"KiB/s", 1u << 10}, {"B/s", 1}, {"MiB/s", 1u << 20}}};
  return with_unit(text, units, uint64_t{1} << 32, "rate of bytes", "240B/s, 16KiB/s or 1MiB/s");
}

Parsed<double> parse_percent(std::string_view text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || !(value >= 0) || std::string_view(end, text.data() + text.size()) != "%")
    return wrong("is no percentage", "write 5%");
  if (value > 100) return wrong("is over 100%");
  return value / 100;
}

Parsed<int64_t> parse_integer(std::string_view text) {
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return wrong("is no whole number");
  return value;
}

Parsed<bool> parse_flag(std::string_view text) {
  if (text == "true") return true;
  if (text == "false") return false;
  return wrong("is neither true nor false");
}

Parsed<uint16_t> parse_port(std::string_view text) {
  const auto value = parse_integer(text);
  if (!value || *value < 1 || *value > 65535) return wrong("is no port", "ports are 1..65535");
  return static_cast<uint16_t>(*value);
}

Parsed<Address> parse_address(std::string_view text) {
  const std::string hint = "write 127.0.0.1:8080, 0.0.0.0:80 or [::1]:8080";
  const auto parts = split_address(text);
  if (!parts) return wrong("is no address with a port", hint);
  Address address;
  std::array<unsigned char, 16> bytes{};
  address.ipv6 = parts->bracketed;
  if (!is_ip(address.ipv6 ? AF_INET6 : AF_INET, parts->host, bytes.data()))
    return wrong(fmt::format("has no {} address before the port", address.ipv6 ? "IPv6" : "IPv4"), hint);
  const auto port = parse_integer(parts->port);
  if (!port || *port < 0 || *port > 65535) return wrong("has no port", "ports are 0..65535");
  address.host = std::string(parts->host);
  address.port = static_cast<uint16_t>(*port);
  const std::array<unsigned char, 16> loopback6{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
  address.loopback = address.ipv6 ? bytes == loopback6 : bytes[0] == 127;
  return address;
}

Parsed<std::string> parse_unix_address(std::string_view text) {
  constexpr size_t longest = 100;  // the kernel's 107, less a suffix that we need
  text.remove_prefix(std::min(text.size(), std::string_view("unix:").size()));
  if (!is_file_name(text) || text.ends_with('/'))
    return wrong("names no file for the socket", "write unix:/run/penstock/http.sock");
  if (text.size() > longest) return wrong(fmt::format("has a path over {} bytes", longest));
  return std::string(text);
}

Parsed<uint32_t> parse_mode(std::string_view text) {
  uint32_t mode = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), mode, 8);
  if (error != std::errc() || end != text.data() + text.size() || mode > 0777)
    return wrong("is no file mode", "write 0660: octal, owner, group and others");
  return mode;
}

Parsed<Network> parse_network(std::string_view text) {
  if (text == "unix" || text == "unix:") {  // YAML takes [unix:] for a map
    Network peers;
    peers.unix_peers = true;
    return peers;
  }
  const std::string hint = "write 10.0.0.0/8, 2001:db8::/32 or one address";
  const size_t slash = text.find('/');
  const std::string_view host = text.substr(0, slash);
  Network network;
  network.ipv6 = host.find(':') != host.npos;
  if (!is_ip(network.ipv6 ? AF_INET6 : AF_INET, host, network.bytes.data()))
    return wrong("is no network", hint);
  const int64_t most = network.ipv6 ? 128 : 32;
  const auto bits = slash == text.npos ? Parsed<int64_t>(most) : parse_integer(text.substr(slash + 1));
  if (!bits || *bits < 0 || *bits > most) return wrong("has a wrong prefix length", hint);
  network.prefix_bits = static_cast<uint8_t>(*bits);
  for (size_t i = 0; i < static_cast<size_t>(most) / 8; ++i) {
    const int64_t kept = std::clamp<int64_t>(*bits - static_cast<int64_t>(i) * 8, 0, 8);
    const auto mask = static_cast<uint8_t>(0xFF00u >> kept);
    if ((network.bytes[i] & static_cast<uint8_t>(~mask)) != 0)
      return wrong("has bits beyond its prefix length", hint);
    network.bytes[i] &= mask;
  }
  return network;
}

Parsed<std::string> parse_method(std::string_view text) {
  if (text.empty() || !std::all_of(text.begin(), text.end(), is_token_byte)) return wrong("is no method");
  std::string upper(text);
  for (char& c : upper)
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 32);
  if (upper != text) return wrong("is no method, methods are upper case", fmt::format("write {}", upper));
  if (upper == "CONNECT") return wrong("is always refused");
  if (std::find(methods.begin(), methods.end(), upper) == methods.end())
    return wrong("is no method that is forwarded", did_you_mean(upper, methods));
  return upper;
}

Parsed<std::string> parse_header_name(std::string_view text) {
  if (text.empty() || !std::all_of(text.begin(), text.end(), is_token_byte))
    return wrong("is no header name");
  return lower(text);
}

// RFC 9110 7.8: protocol-name ["/" protocol-version]
Parsed<std::string> parse_protocol(std::string_view text) {
  const size_t slash = text.find('/');
  const auto name = parse_header_name(text.substr(0, slash));
  if (!name || (slash != text.npos && !parse_header_name(text.substr(slash + 1))))
    return wrong("is no protocol", "write a name, or NAME/VERSION");
  return lower(text);
}

Parsed<Attribute> parse_attribute(std::string_view text) {
  struct Word {
    std::string_view text;
    AttributeKind kind;
  };
  static constexpr std::array<Word, 9> whole{{{"client.address", AttributeKind::client_address},
                                              {"consumer.id", AttributeKind::consumer_id},
                                              {"consumer.groups", AttributeKind::consumer_groups},
                                              {"request.method", AttributeKind::request_method},
                                              {"request.id", AttributeKind::request_id},
                                              {"api.version", AttributeKind::api_version},
                                              {"route.name", AttributeKind::route_name},
                                              {"upstream.name", AttributeKind::upstream_name},
                                              {"endpoint.address", AttributeKind::endpoint_address}}};
  static constexpr std::array<Word, 5> named{{{"header.", AttributeKind::header},
                                              {"query.", AttributeKind::query},
                                              {"cookie.", AttributeKind::cookie},
                                              {"path.", AttributeKind::path},
                                              {"claim.", AttributeKind::claim}}};
  for (const Word& word : whole)
    if (text == word.text) return Attribute{word.kind, {}};
  for (const Word& word : named) {
    if (!text.starts_with(word.text) || text.size() == word.text.size()) continue;
    const std::string_view name = text.substr(word.text.size());
    if (word.kind != AttributeKind::header) return Attribute{word.kind, std::string(name)};
    const auto header = parse_header_name(name);
    if (!header) return std::unexpected(header.error());
    return Attribute{word.kind, *header};
  }
  return wrong("is no attribute",
               "attributes are client.address, consumer.id, consumer.groups, request.method, request.id, "
               "header.NAME, query.NAME, cookie.NAME, path.NAME, claim.NAME, api.version, route.name, "
               "upstream.name, endpoint.address");
}

Parsed<Template> parse_template(std::string_view text) {
  Template made;
  std::string literal;
  const auto flush = [&] {
    if (!literal.empty()) made.pieces.push_back({TemplatePiece::Kind::literal, literal, {}});
    literal.clear();
  };
  for (size_t i = 0; i < text.size(); ++i) {
    const bool doubled = i + 1 < text.size() && text[i + 1] == text[i];
    if ((text[i] == '{' || text[i] == '}') && doubled) {
      literal += text[i++];
    } else if (text[i] == '}') {
      return wrong("has a '}' without '{'", "a literal brace is written twice");
    } else if (text[i] == '{') {
      const size_t end = text.find('}', i);
      if (end == text.npos) return wrong("has a '{' without '}'", "a literal brace is written twice");
      const std::string_view name = text.substr(i + 1, end - i - 1);
      auto attribute = parse_attribute(name);
      if (!attribute)
        return wrong(fmt::format("holds {{{}}}, which is no attribute", name), attribute.error().hint);
      flush();
      made.pieces.push_back({TemplatePiece::Kind::attribute, {}, std::move(*attribute)});
      i = end;
    } else {
      literal += text[i];
    }
  }
  flush();
  return made;
}

Parsed<std::string> parse_date(std::string_view text) {
  // The shapes that are allowed, with 0 for any digit.
  static constexpr std::array<std::string_view, 3> shapes{"0000-00-00", "0000-00-00T00:00Z",
                                                          "0000-00-00T00:00:00Z"};
  const auto number = [&](size_t at) { return (text[at] - '0') * 10 + (text[at + 1] - '0'); };
  for (const std::string_view shape : shapes) {
    if (shape.size() != text.size()) continue;
    bool same = true;
    for (size_t i = 0; i < text.size(); ++i)
      same = same && (shape[i] == '0' ? text[i] >= '0' && text[i] <= '9' : text[i] == shape[i]);
    if (!same) continue;
    const std::chrono::year_month_day day(std::chrono::year(number(0) * 100 + number(2)),
                                          std::chrono::month(static_cast<unsigned>(number(5))),
                                          std::chrono::day(static_cast<unsigned>(number(8))));
    const bool time_ok =
        text.size() == 10 || (number(11) < 24 && number(14) < 60 && (text.size() < 20 || number(17) < 60));
    if (!day.ok() || !time_ok) return wrong("is no date of the calendar");
    return std::string(text);
  }
  return wrong("is no date", "write 2026-06-01 or 2026-06-01T10:00Z");
}

Parsed<HostPort> parse_host_port(std::string_view text) {
  const auto parts = split_address(text);
  if (!parts || parts->host.empty())
    return wrong("is no host:port", "write 10.0.0.5:8080, [::1]:8080 or name:8080");
  const auto port = parse_port(parts->port);
  if (!port) return wrong(fmt::format("has no port after '{}'", parts->host), port.error().hint);
  unsigned char bytes[16];
  if (parts->bracketed) {
    if (!is_ip(AF_INET6, parts->host, bytes)) return wrong("has no IPv6 address in its brackets");
    return HostPort{std::string(parts->host), *port};
  }
  const auto is_host_byte = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_';
  };
  if (!std::all_of(parts->host.begin(), parts->host.end(), is_host_byte) || parts->host.size() > 253)
    return wrong("has no host name before the port", "write 10.0.0.5:8080, [::1]:8080 or name:8080");
  // A certificate for any name below would do for one that begins with a dot.
  if (parts->host.starts_with('.') || parts->host.find("..") != parts->host.npos)
    return wrong("has a host name with an empty label");
  const bool digits = parts->host.find_first_not_of("0123456789.") == parts->host.npos;
  if (digits && !is_ip(AF_INET, parts->host, bytes)) return wrong("has no IPv4 address before the port");
  return HostPort{lower(parts->host), *port};
}

bool is_file_name(std::string_view text) {
  return !text.empty() && std::none_of(text.begin(), text.end(), [](char c) {
    return static_cast<unsigned char>(c) < 0x20 || c == 0x7F;
  });
}

Parsed<std::string> parse_name(std::string_view text) {
  constexpr size_t longest = 128;
  if (text.empty()) return wrong("is empty, a name is needed");
  if (text.size() > longest) return wrong(fmt::format("is longer than {} bytes", longest));
  for (const char c : text)
    if (c <= ' ' || c > '~' || std::string_view(":,\"'{}\\").find(c) != std::string_view::npos)
      return wrong("is no name", "letters, digits and . _ - @ / are usual; no blank, colon, comma or quote");
  return std::string(text);
}

}  // namespace penstock::config
