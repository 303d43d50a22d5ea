#include "http/http1/serializer.h"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstring>

#include "base/block_pool.h"
#include "base/reason.h"
#include "http/http1/syntax.h"

namespace penstock::http::http1 {
namespace {

// Puts text into the transport's own memory. Counts lines and control bytes: when a value smuggled in a line
// end, the two disagree.
class HeadWriter {
 public:
  HeadWriter(net::Transport& to, const Message& head) : to_(to) {
    size_t size =
        256 + head.method_text.size() + head.path.size() + head.query.size() + head.authority.size();
    for (const Field& field : head.headers.fields()) size += field.name.size() + field.value.size() + 4;
    room_ = to_.reserve(std::min(size, BlockPool::Block::capacity));
  }

  HeadWriter& put(std::string_view text) {
    if (text.size() > left()) [[unlikely]]
      return put_parts(text), *this;
    copy(text);
    return *this;
  }
  HeadWriter& number(uint64_t value) {
    char text[20];
    auto end = std::to_chars(text, text + sizeof(text), value).ptr;
    return put({text, static_cast<size_t>(end - text)});
  }
  void end_line() {
    put("\r\n");
    ++lines_;
  }
  void field(std::string_view name, std::string_view value) {
    if (name.size() + value.size() + 4 > left()) [[unlikely]] {
      put(name).put(": ").put(value);
      return end_line();
    }
    copy(name);
    copy(": ");
    copy(value);
    copy("\r\n");
    ++lines_;
  }
  void fields(const Headers& headers, uint64_t without) {
    for (const Field& each : headers.fields())
      if (!(without & bit(each.id))) field(each.name, each.value);
  }
  void content_length(uint64_t length) {
    put("content-length: ").number(length);
    end_line();
  }
  // The empty line; whether the head reads as it was meant.
  bool finish() {
    end_line();
    commit();
    return controls_ == 2 * lines_;
  }

 private:
  size_t left() const { return room_.size() - used_; }
  void copy(std::string_view text) {
    if (!text.empty()) std::memcpy(room_.data() + used_, text.data(), text.size());
    used_ += text.size();
  }
  void put_parts(std::string_view text) {
    while (text.size() > left()) {
      size_t part = left();
      copy(text.substr(0, part));
      text.remove_prefix(part);
      commit();
      room_ = to_.reserve(std::min(std::max<size_t>(text.size() + 256, 512), BlockPool::Block::capacity));
      used_ = 0;
      if (room_.empty()) return;  // the transport was given up: nothing leaves any more
    }
    copy(text);
  }
  void commit() {
    controls_ += count_controls({room_.data(), used_});
    to_.commit(used_);
  }

  net::Transport& to_;
  std::span<char> room_;
  size_t used_ = 0;
  size_t controls_ = 0;
  size_t lines_ = 0;
};

// Before a byte is written: blanks in the start line would move its parts.
bool visible(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return c > 0x20 && c < 0x7f; });
}

// "connection: a, b" from what is true of the connection.
void write_connection(HeadWriter& out, std::string_view first, std::string_view second) {
  if (first.empty()) std::swap(first, second);
  if (first.empty()) return;
  out.put("connection: ").put(first);
  if (!second.empty()) out.put(", ").put(second);
  out.end_line();
}

uint64_t without_trailer(uint64_t fields, BodyEnd body) {
  return body == BodyEnd::chunked ? fields : fields | bit(HeaderId::trailer);
}

void write_status_line(HeadWriter& out, const Message& head) {
  out.put("HTTP/1.1 ").number(head.status).put(" ");
  out.put(head.status_text.empty() ? status_phrase(head.status) : head.status_text);
  out.end_line();
}

// Copying so much costs less than a segment of its own.
constexpr size_t little = 2048;

bool content_expected(Method method) {
  return method == Method::post || method == Method::put || method == Method::patch;
}

}  // namespace

void BodyWriter::begin(BodyEnd end, uint64_t length, Body body) {
  state_ = State::open;
  kind_ = end;
  remaining_ = length;
  body_ = body;
}

bool BodyWriter::data(net::Transport& to, std::string_view bytes) {
  if (bytes.empty()) return true;
  if (state_ != State::open) return false;
  if (body_ == Body::discarded) return true;
  if (kind_ == BodyEnd::length) {
    if (bytes.size() > remaining_) return false;
    remaining_ -= bytes.size();
  } else if (kind_ == BodyEnd::chunked) {
    char head[24];
    char* at = head;
    if (chunk_open_) *at++ = '\r', *at++ = '\n';
    at = std::to_chars(at, head + sizeof(head) - 2, bytes.size(), 16).ptr;
    *at++ = '\r', *at++ = '\n';
    to.append({head, static_cast<size_t>(at - head)});
    chunk_open_ = true;
  } else if (kind_ == BodyEnd::none) {
    return false;
  }
  // A body of one-byte chunks would otherwise leave in one write for every few of them.
  if (bytes.size() <= little)
    to.append(bytes);
  else
    to.append_borrowed(bytes);
  sent_ += bytes.size();
  return true;
}

bool BodyWriter::end(net::Transport& to) {
  if (state_ == State::ended) return true;
  if (state_ == State::idle) return false;
  if (body_ == Body::sent) {
    if (kind_ == BodyEnd::length && remaining_ != 0) return false;
    if (kind_ == BodyEnd::chunked) to.append(chunk_open_ ? "\r\n0\r\n\r\n" : "0\r\n\r\n");
  }
  chunk_open_ = false;
  state_ = State::ended;
  return true;
}

bool BodyWriter::trailers(net::Transport& to, const Headers& trailers) {
  constexpr uint64_t never = request_fields | bit(HeaderId::trailer);
  bool taken = state_ == State::open && kind_ == BodyEnd::chunked && body_ == Body::sent;
  if (!taken || trailers.empty()) return end(to);
  for (const Field& field : trailers.fields())
    if (count_controls(field.name) || count_controls(field.value)) return false;
  to.append(chunk_open_ ? "\r\n0\r\n" : "0\r\n");
  for (const Field& field : trailers.fields()) {
    if (never & bit(field.id)) continue;
    to.append(field.name);
    to.append(": ");
    to.append(field.value);
    to.append("\r\n");
  }
  to.append("\r\n");
  chunk_open_ = false;
  state_ = State::ended;
  return true;
}

void BodyWriter::before_flush(net::Transport& to) {
  if (!chunk_open_) return;
  to.append("\r\n");
  chunk_open_ = false;
}

bool write_request(net::Transport& to, const Message& head, EndStream end, BodyWriter& body) {
  if (!is_token(head.method_text) || head.path.empty() || !visible(head.path) || !visible(head.query) ||
      !visible(head.authority))
    return false;
  BodyEnd kind = BodyEnd::none;
  uint64_t length = 0;
  if (end == EndStream::yes) {
    if (head.has_content_length && head.content_length != 0) return false;
  } else if (head.body == BodyKind::length) {
    kind = BodyEnd::length;
    length = head.content_length;
  } else {
    kind = BodyEnd::chunked;
  }
  HeadWriter out(to, head);
  out.put(head.method_text).put(" ").put(head.path);
  if (head.has_query) out.put("?").put(head.query);
  out.put(" HTTP/1.1");
  out.end_line();
  out.field("host", head.authority);
  out.fields(head.headers, without_trailer(request_fields, kind));
  if (kind == BodyEnd::chunked) {
    out.field("transfer-encoding", "chunked");
  } else if (kind == BodyEnd::length || head.has_content_length || content_expected(head.method)) {
    out.content_length(length);  // RFC 9110 8.6: also 0, where a body was to be expected
  }
  if (head.expect_continue && end == EndStream::no) out.field("expect", "100-continue");
  if (head.accepts_trailers) out.field("te", "trailers");
  if (!head.upgrade.empty()) out.field("upgrade", head.upgrade);
  write_connection(out, head.upgrade.empty() ? "" : "upgrade", head.accepts_trailers ? "te" : "");
  body.begin(kind, length, BodyWriter::Body::sent);
  if (!out.finish()) return false;
  return end == EndStream::no || body.end(to);
}

bool write_response(net::Transport& to, const Message& head, EndStream end, const Answer& answer,
                    BodyWriter& body) {
  bool switching = head.status == 101;
  if (head.status < 200 ? !switching || answer.upgrade.empty() : head.status > 599) return false;
  bool bodyless = answer.method == Method::head || head.status == 204 || head.status == 304;
  BodyEnd kind = BodyEnd::none;
  uint64_t length = 0;
  if (switching) {
    kind = BodyEnd::tunnel;
  } else if (!bodyless && end == EndStream::yes) {
    if (head.has_content_length && head.content_length != 0) return false;
    kind = BodyEnd::length;
  } else if (!bodyless && head.body == BodyKind::length) {
    kind = BodyEnd::length;
    length = head.content_length;
  } else if (!bodyless) {
    kind = answer.version == Version::http_1_0 ? BodyEnd::close : BodyEnd::chunked;
  }
  bool persistent = answer.persistent && kind != BodyEnd::close && !switching;

  HeadWriter out(to, head);
  write_status_line(out, head);
  out.fields(head.headers, without_trailer(connection_fields, kind));
  if (!switching && !head.headers.find(HeaderId::date)) {  // RFC 9110 6.6.1
    char date[date_size];
    write_date(answer.wall_ns / 1'000'000'000, date);
    out.field("date", {date, sizeof(date)});
  }
  if (kind == BodyEnd::chunked) out.field("transfer-encoding", "chunked");
  if (kind == BodyEnd::length) out.content_length(length);
  if (bodyless && head.has_content_length && head.status != 204) out.content_length(head.content_length);
  bool upgrade = switching || (head.status == 426 && !head.upgrade.empty());
  if (upgrade) out.field("upgrade", switching && head.upgrade.empty() ? answer.upgrade : head.upgrade);
  std::string_view stays = answer.version == Version::http_1_0 ? "keep-alive" : "";
  write_connection(out, upgrade ? "upgrade" : "", switching ? "" : persistent ? stays : "close");
  body.begin(kind, length, bodyless ? BodyWriter::Body::discarded : BodyWriter::Body::sent);
  if (!out.finish()) return false;
  return end == EndStream::no || switching || body.end(to);
}

bool write_informational(net::Transport& to, const Message& head) {
  if (head.status < 100 || head.status > 199 || head.status == 101) return false;
  HeadWriter out(to, head);
  write_status_line(out, head);
  out.fields(head.headers, connection_fields | bit(HeaderId::trailer));
  return out.finish();
}

void write_date(int64_t unix_seconds, char* out) {
  static constexpr char days[] = "ThuFriSatSunMonTueWed";  // 1 January 1970 was a Thursday
  static constexpr char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
  int64_t day = unix_seconds / 86400, second = unix_seconds % 86400;
  std::chrono::year_month_day date{std::chrono::sys_days{std::chrono::days{day}}};
  auto two = [](char* at, int64_t value) {
    at[0] = static_cast<char>('0' + value / 10);
    at[1] = static_cast<char>('0' + value % 10);
  };
  std::memcpy(out, "ddd, 00 mmm 0000 00:00:00 GMT", date_size);
  std::memcpy(out, days + day % 7 * 3, 3);
  two(out + 5, static_cast<unsigned>(date.day()));
  std::memcpy(out + 8, months + (static_cast<unsigned>(date.month()) - 1) * 3, 3);
  int year = static_cast<int>(date.year());
  two(out + 12, year / 100);
  two(out + 14, year % 100);
  two(out + 17, second / 3600);
  two(out + 20, second / 60 % 60);
  two(out + 23, second % 60);
}

}  // namespace penstock::http::http1
