#include "fuzz/reference_reader.h"

#include <algorithm>
#include <optional>

namespace reference {
namespace {

// --- RFC 5234 and RFC 9110 5.6 ---

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_alpha(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool is_hex(char c) { return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); }
bool is_tchar(char c) {
  return is_digit(c) || is_alpha(c) || std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
}
bool is_obs_text(char c) { return static_cast<unsigned char>(c) >= 0x80; }
bool is_vchar(char c) { return c >= 0x21 && c <= 0x7e; }
bool is_text(char c) { return is_vchar(c) || is_obs_text(c) || c == ' ' || c == '\t'; }

std::string strip(std::string_view text) {
  size_t begin = text.find_first_not_of(" \t");
  if (begin == std::string_view::npos) return {};
  return std::string(text.substr(begin, text.find_last_not_of(" \t") - begin + 1));
}

// A reading in progress: position and verdict.
struct Cursor {
  std::string_view bytes;
  size_t at = 0;
  Reading& reading;

  bool refuse(const char* why) {
    reading.outcome = Outcome::refused;
    reading.why = why;
    return false;
  }
  // A line without its CRLF. False: not there yet, or refused. A CR or LF that is not part of a CRLF ends the
  // reading.
  bool line(std::string& out) {
    out.clear();
    for (size_t i = at; i < bytes.size(); ++i) {
      if (bytes[i] == '\n') return refuse("bare LF");
      if (bytes[i] == '\r') {
        if (i + 1 == bytes.size()) return false;
        if (bytes[i + 1] != '\n') return refuse("bare CR");
        at = i + 2;
        return true;
      }
      out.push_back(bytes[i]);
    }
    return false;
  }
};

// --- start lines (RFC 9112 3 and 4) ---

std::optional<int> minor_version(std::string_view text) {
  if (text.size() != 8 || text.substr(0, 7) != "HTTP/1." || !is_digit(text[7])) return std::nullopt;
  return text[7] - '0';
}

// origin-form, absolute-form, authority-form of CONNECT, asterisk-form of OPTIONS. Bytes: all visible ASCII
// but '#', because browsers send more of it in paths and queries than RFC 3986 allows.
bool is_target(const std::string& method, const std::string& target) {
  for (char c : target)
    if (!is_vchar(c) || c == '#') return false;
  if (method == "CONNECT") {
    size_t colon = target.rfind(':');
    return colon != std::string::npos && colon > 0 && is_authority(target);
  }
  if (target[0] == '/') return true;
  if (target == "*") return method == "OPTIONS";
  size_t colon = target.find(':');
  if (colon == std::string::npos || colon == 0 || !is_alpha(target[0])) return false;
  for (char c : target.substr(0, colon))
    if (!is_alpha(c) && !is_digit(c) && c != '+' && c != '-' && c != '.') return false;
  return true;
}

bool read_request_line(Cursor& in, Message& out) {
  std::string line;
  if (in.bytes.substr(0, 2) == "\r\n") in.at = 2;  // RFC 9112 2.2: one empty line before it
  if (!in.line(line)) return false;
  size_t first = line.find(' ');
  size_t last = line.rfind(' ');
  if (first == std::string::npos || first == last) return in.refuse("request line without three parts");
  out.method = line.substr(0, first);
  out.target = line.substr(first + 1, last - first - 1);
  auto minor = minor_version(line.substr(last + 1));
  if (!minor) return in.refuse("version");
  out.minor = *minor;
  if (!is_token(out.method)) return in.refuse("method");
  if (out.target.empty() || !is_target(out.method, out.target)) return in.refuse("target");
  return true;
}

// The blank behind the status may be missing where the phrase is.
bool read_status_line(Cursor& in, Message& out) {
  std::string line;
  if (!in.line(line)) return false;
  if (line.size() < 12 || line[8] != ' ') return in.refuse("status line");
  auto minor = minor_version(line.substr(0, 8));
  if (!minor) return in.refuse("version");
  out.minor = *minor;
  for (size_t i = 9; i < 12; ++i) {
    if (!is_digit(line[i])) return in.refuse("status");
    out.status = out.status * 10 + (line[i] - '0');
  }
  if (out.status < 100 || out.status > 599) return in.refuse("status");
  if (line.size() > 12 && line[12] != ' ') return in.refuse("status line");
  if (line.size() > 13) out.phrase = line.substr(13);
  for (char c : out.phrase)
    if (!is_text(c)) return in.refuse("reason phrase");
  return true;
}

// --- fields (RFC 9112 5) ---

bool read_fields(Cursor& in, Fields& out) {
  while (true) {
    std::string line;
    if (!in.line(line)) return false;
    if (line.empty()) return true;
    size_t colon = line.find(':');
    if (colon == std::string::npos) return in.refuse("field line without a colon");
    std::string raw = line.substr(colon + 1);
    Field field{line.substr(0, colon), strip(raw), raw};
    if (!is_token(field.name)) return in.refuse("field name");
    for (char c : field.value)
      if (!is_text(c)) return in.refuse("field value");
    out.push_back(field);
  }
}

// --- where the body ends (RFC 9112 6.3) ---

std::optional<uint64_t> number(std::string_view text) {
  if (text.empty()) return std::nullopt;
  uint64_t value = 0;
  for (char c : text) {
    if (!is_digit(c)) return std::nullopt;
    uint64_t next = value * 10 + static_cast<uint64_t>(c - '0');
    if (value > (uint64_t{1} << 63) / 10 || next >= uint64_t{1} << 63) return std::nullopt;
    value = next;
  }
  return value;
}

// What the fields say about a body. One transfer coding is known: chunked.
bool read_length(Cursor& in, Message& out, bool& chunked) {
  size_t lengths = out.count("content-length"), codings = out.count("transfer-encoding");
  if (lengths + codings > 1) return in.refuse("more than one length");
  if (codings == 1) {
    if (out.minor == 0) return in.refuse("transfer coding in HTTP/1.0");
    if (lower(out.value("transfer-encoding")) != "chunked") return in.refuse("unknown transfer coding");
    chunked = true;
  }
  if (lengths == 1) {
    auto length = number(out.value("content-length"));
    if (!length) return in.refuse("Content-Length");
    out.has_length = true;
    out.length = *length;
  }
  return true;
}

// --- chunked (RFC 9112 7.1) ---

// chunk-ext = *( BWS ";" BWS token [ BWS "=" BWS ( token / quoted-string ) ] )
bool is_extensions(std::string_view text) {
  size_t at = 0;
  auto token = [&] {
    size_t begin = at;
    while (at < text.size() && is_tchar(text[at])) ++at;
    return at > begin;
  };
  auto quoted = [&] {
    for (++at; at < text.size(); ++at) {
      if (text[at] == '"') return ++at, true;
      if (text[at] == '\\') ++at;
      if (at == text.size() || !is_text(text[at])) return false;
    }
    return false;
  };
  auto blanks = [&] {
    while (at < text.size() && (text[at] == ' ' || text[at] == '\t')) ++at;
    return true;
  };
  while (at < text.size()) {
    blanks();
    if (at == text.size() || text[at++] != ';' || !blanks() || !token()) return false;
    size_t behind = at;
    blanks();
    if (at == text.size() || text[at] != '=') {
      at = behind;
      continue;
    }
    ++at;
    blanks();
    if (!(at < text.size() && text[at] == '"' ? quoted() : token())) return false;
  }
  return true;
}

bool read_chunks(Cursor& in, Message& out) {
  while (true) {
    std::string line;
    if (!in.line(line)) return false;
    size_t digits = 0;
    uint64_t size = 0;
    for (; digits < line.size() && is_hex(line[digits]); ++digits) {
      if (size >= uint64_t{1} << 59) return in.refuse("chunk size over 63 bits");
      char c = line[digits];
      size = size * 16 + static_cast<uint64_t>(is_digit(c) ? c - '0' : (c | 0x20) - 'a' + 10);
    }
    if (digits == 0) return in.refuse("chunk size");
    if (!is_extensions(std::string_view(line).substr(digits))) return in.refuse("chunk extension");
    if (size == 0) return read_fields(in, out.trailers);
    uint64_t there = std::min<uint64_t>(size, in.bytes.size() - in.at);
    out.body += in.bytes.substr(in.at, static_cast<size_t>(there));
    in.at += static_cast<size_t>(there);
    if (there < size) return false;
    std::string_view end = in.bytes.substr(in.at, 2);
    if (!std::string_view("\r\n").starts_with(end)) return in.refuse("chunk without CRLF behind it");
    if (end.size() < 2) return false;
    in.at += 2;
  }
}

bool read_body(Cursor& in, Message& out, Stream stream) {
  std::string_view rest = in.bytes.substr(in.at);
  switch (out.ends) {
    case Ends::nowhere:
    case Ends::by_switching: return true;
    case Ends::by_chunks: return read_chunks(in, out);
    case Ends::by_length:
      out.body = rest.substr(0, static_cast<size_t>(std::min<uint64_t>(out.length, rest.size())));
      in.at += out.body.size();
      return out.body.size() == out.length;
    case Ends::by_close:
      out.body = rest;
      in.at = in.bytes.size();
      return stream == Stream::closed;
  }
  return false;
}

bool has_option(const Message& message, std::string_view option) {
  for (const Field& field : message.fields)
    if (lower(field.name) == "connection")
      for (const std::string& each : list(field.value))
        if (lower(each) == option) return true;
  return false;
}

bool finish(Cursor& in, Reading& reading, Stream stream) {
  Message& out = reading.message;
  out.head_read = true;
  out.head_size = in.at;
  if (!read_body(in, out, stream)) return false;
  out.size = in.at;
  reading.outcome = Outcome::whole;
  return true;
}

// --- hosts (RFC 3986 3.2.2) ---

bool is_ipv4(std::string_view text) {
  int parts = 0;
  while (true) {
    size_t dot = text.find('.');
    std::string_view part = text.substr(0, dot);
    if (part.empty() || part.size() > 3 || (part.size() > 1 && part[0] == '0')) return false;
    if (!std::ranges::all_of(part, is_digit) || std::stoi(std::string(part)) > 255) return false;
    ++parts;
    if (dot == std::string_view::npos) return parts == 4;
    text.remove_prefix(dot + 1);
  }
}

bool is_ipv6(std::string_view text) {
  size_t gap = text.find("::");
  if (gap != std::string_view::npos && text.find("::", gap + 1) != std::string_view::npos) return false;
  // The number of 16-bit groups of a part without "::"; none when it is not valid.
  auto groups = [](std::string_view part, bool last) -> std::optional<int> {
    int count = 0;
    if (part.empty()) return 0;
    while (true) {
      size_t colon = part.find(':');
      std::string_view group = part.substr(0, colon);
      if (colon == std::string_view::npos && last && group.find('.') != std::string_view::npos)
        return is_ipv4(group) ? std::optional(count + 2) : std::nullopt;
      if (group.empty() || group.size() > 4 || !std::ranges::all_of(group, is_hex)) return std::nullopt;
      ++count;
      if (colon == std::string_view::npos) return count;
      part.remove_prefix(colon + 1);
    }
  };
  if (gap == std::string_view::npos) return groups(text, true) == 8;
  auto before = groups(text.substr(0, gap), false), after = groups(text.substr(gap + 2), true);
  return before && after && *before + *after <= 7;
}

}  // namespace

bool is_token(std::string_view text) { return !text.empty() && std::ranges::all_of(text, is_tchar); }

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return out;
}

std::vector<std::string> list(std::string_view text) {
  std::vector<std::string> out;
  while (true) {
    size_t comma = text.find(',');
    std::string element = strip(text.substr(0, comma));
    if (!element.empty()) out.push_back(element);
    if (comma == std::string_view::npos) return out;
    text.remove_prefix(comma + 1);
  }
}

bool is_authority(std::string_view text) {
  size_t host = 0;
  if (text.starts_with('[')) {
    size_t close = text.find(']');
    if (close == std::string_view::npos || !is_ipv6(text.substr(1, close - 1))) return false;
    host = close + 1;
  } else {
    host = std::min(text.find(':'), text.size());
    for (size_t i = 0; i < host; ++i) {
      if (text[i] == '%') {
        if (i + 2 >= host || !is_hex(text[i + 1]) || !is_hex(text[i + 2])) return false;
        i += 2;
      } else if (!is_alpha(text[i]) && !is_digit(text[i]) &&
                 std::string_view("-._~!$&'()*+,;=").find(text[i]) == std::string_view::npos) {
        return false;
      }
    }
  }
  std::string_view port = text.substr(host);
  return port.empty() || (port[0] == ':' && std::ranges::all_of(port.substr(1), is_digit));
}

std::string Message::value(std::string_view lower_name) const {
  for (const Field& field : fields)
    if (lower(field.name) == lower_name) return field.value;
  return {};
}

size_t Message::count(std::string_view lower_name) const {
  return static_cast<size_t>(
      std::ranges::count_if(fields, [&](const Field& field) { return lower(field.name) == lower_name; }));
}

Reading read_request(std::string_view bytes) {
  Reading reading;
  Message& out = reading.message;
  Cursor in{bytes, 0, reading};
  if (!read_request_line(in, out) || !read_fields(in, out.fields)) return reading;
  // RFC 9112 3.2: exactly one valid Host, which only HTTP/1.0 may leave out.
  if (out.count("host") > 1 || (out.count("host") == 0 && out.minor > 0) ||
      !is_authority(out.value("host"))) {
    in.refuse("Host");
    return reading;
  }
  bool chunked = false;
  if (!read_length(in, out, chunked)) return reading;
  if (chunked)
    out.ends = Ends::by_chunks;
  else if (out.length > 0)
    out.ends = Ends::by_length;
  finish(in, reading, Stream::open);
  return reading;
}

Reading read_response(std::string_view bytes, const Question& question, Stream stream) {
  Reading reading;
  Message& out = reading.message;
  Cursor in{bytes, 0, reading};
  bool chunked = false;
  if (!read_status_line(in, out) || !read_fields(in, out.fields) || !read_length(in, out, chunked))
    return reading;
  bool interim = out.status < 200;
  if (interim && out.minor == 0) return in.refuse("interim answer in HTTP/1.0"), reading;
  // RFC 9110 8.6 and RFC 9112 6.1: neither length nor coding; a length of 0 does no harm.
  if ((interim || out.status == 204) && (chunked || out.length > 0))
    return in.refuse("a body where none can be"), reading;
  if (out.status == 101) {
    if (!question.upgrade || !has_option(out, "upgrade") || out.count("upgrade") == 0)
      return in.refuse("101 that was not asked for"), reading;
    out.ends = Ends::by_switching;
  } else if (interim || out.status == 204 || out.status == 304 || question.method == "HEAD") {
    out.ends = Ends::nowhere;
  } else if (chunked) {
    out.ends = Ends::by_chunks;
  } else if (out.has_length) {
    out.ends = out.length > 0 ? Ends::by_length : Ends::nowhere;
  } else {
    out.ends = Ends::by_close;
  }
  finish(in, reading, stream);
  return reading;
}

}  // namespace reference
