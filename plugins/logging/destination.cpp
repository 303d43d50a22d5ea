#include "destination.h"

#include <charconv>

namespace logging {
namespace {

constexpr std::string_view syslog_forms = "syslog:unix:PATH, syslog:udp:HOST:PORT or syslog:tcp:HOST:PORT";

bool is_port(std::string_view text) {
  unsigned value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size() && value >= 1 && value <= 65535;
}

// HOST:PORT, [IPv6]:PORT.
bool split_address(std::string_view text, Destination& out) {
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return false;
  std::string_view host = text.substr(0, colon);
  const std::string_view port = text.substr(colon + 1);
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') {
    host = host.substr(1, host.size() - 2);
  } else if (host.find_first_of(":[]") != std::string_view::npos) {
    return false;
  }
  if (host.empty() || host.find_first_of(" \t/") != std::string_view::npos || !is_port(port)) return false;
  out.host = host;
  out.port = port;
  return true;
}

// The rest behind "syslog:".
bool read_syslog(std::string_view rest, Destination& out) {
  using Kind = Destination::Kind;
  if (rest.starts_with("unix:")) {
    out.kind = Kind::syslog_unix;
    out.path = rest.substr(5);
    return out.path.starts_with('/') && out.path.size() < 108;  // sun_path
  }
  if (rest.starts_with("udp:")) {
    out.kind = Kind::syslog_udp;
    return split_address(rest.substr(4), out);
  }
  out.kind = Kind::syslog_tcp;
  return rest.starts_with("tcp:") && split_address(rest.substr(4), out);
}

// What is wrong with the URL; empty: nothing. Behind the scheme the client's library reads it.
std::string_view url_fault(std::string_view url) {
  const std::string_view rest = url.substr(url.find("://") + 3);
  const std::string_view authority = rest.substr(0, rest.find_first_of("/?#"));
  if (authority.empty() || authority.front() == ':') return "has no host";
  if (authority.find('@') != std::string_view::npos)
    return "holds credentials; write them under http.headers";
  for (const char c : url) {
    if (static_cast<unsigned char>(c) <= 0x20 || static_cast<unsigned char>(c) >= 0x7f)
      return "holds a byte that no URL has";
  }
  return {};
}

}  // namespace

std::optional<Destination> parse_destination(std::string_view text, std::string& error) {
  using Kind = Destination::Kind;
  Destination out;
  out.text = text;
  if (text == "stdout") {
    out.kind = Kind::standard_output;
  } else if (text == "stderr") {
    out.kind = Kind::standard_error;
  } else if (text.starts_with("syslog:")) {
    if (!read_syslog(text.substr(7), out)) {
      error =
          "is none of " + std::string(syslog_forms);  // without the value, of which a part may be a secret
      return std::nullopt;
    }
  } else if (text.starts_with("http://") || text.starts_with("https://")) {
    out.kind = Kind::http;
    if (const std::string_view fault = url_fault(text); !fault.empty()) {
      error = "this URL " + std::string(fault);
      return std::nullopt;
    }
  } else if (text.empty()) {
    error = "is empty; write a path, stdout, stderr, " + std::string(syslog_forms) + ", or a URL";
    return std::nullopt;
  } else {
    out.path = text;
  }
  return out;
}

}  // namespace logging
