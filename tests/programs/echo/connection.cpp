#include "echo/connection.h"

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "echo/websocket.h"

namespace echo {
namespace {
constexpr size_t read_size = 64 * 1024;
constexpr size_t most_input = 256 * 1024;        // beyond it the client waits
constexpr size_t most_frame = 32 * 1024 * 1024;  // a WebSocket frame is echoed whole
constexpr size_t most_output = 256 * 1024;       // beyond it /echo stops reading
constexpr size_t filler_piece = 64 * 1024;       // a multiple of the filler's period
constexpr size_t body_start_kept = 1024;

std::string_view filler() {
  static const std::string bytes = [] {
    std::string text(filler_piece, '\0');
    for (size_t i = 0; i < text.size(); ++i) text[i] = filler_at(i);
    return text;
  }();
  return bytes;
}

void append_hex(std::string& out, uint64_t value) {
  constexpr std::string_view digits = "0123456789abcdef";
  std::string reversed;
  do reversed += digits[value & 15];
  while ((value >>= 4) != 0);
  out.append(reversed.rbegin(), reversed.rend());
}
}  // namespace

Connection::Connection(int descriptor, uint64_t number, std::string_view instance)
    : descriptor_(descriptor), origin_{.instance = instance, .connection = number} {}

Connection::~Connection() { close(descriptor_); }

bool Connection::wants_read() const {
  if (reading_ == Reading::websocket) return unread().size() < most_frame;
  return unread().size() < most_input && output_.size() - sent_ < most_output;
}

Connection::State Connection::on_readable() {
  static std::array<char, read_size> buffer;
  auto got = recv(descriptor_, buffer.data(), buffer.size(), 0);
  if (got == 0) return State::closed;
  if (got < 0) return errno == EAGAIN || errno == EINTR ? State::open : State::closed;
  input_.append(buffer.data(), static_cast<size_t>(got));
  return advance();
}

Connection::State Connection::advance() {
  for (;;) {
    if (flush() == State::closed) return State::closed;
    if (wants_write()) return State::open;
    auto progress = steps_.empty() ? read_input() : play();
    if (progress == Progress::closed) return State::closed;
    if (progress == Progress::none) return wants_write() ? flush() : State::open;
  }
}

Connection::State Connection::flush() {
  while (wants_write()) {
    auto put = send(descriptor_, output_.data() + sent_, output_.size() - sent_, MSG_NOSIGNAL);
    if (put < 0) return errno == EAGAIN || errno == EINTR ? State::open : State::closed;
    sent_ += static_cast<size_t>(put);
  }
  output_.clear();
  sent_ = 0;
  return State::open;
}

Connection::Progress Connection::play() {
  auto& step = steps_.front();
  if (step.delay_ms > 0) {
    due_ = Clock::now() + std::chrono::milliseconds(step.delay_ms);
    step.delay_ms = 0;
  }
  if (due_) {
    if (Clock::now() < *due_) return Progress::none;
    due_.reset();
  }
  if (step.shared) {  // sent from where it lies; only what the socket does not take is copied
    auto put = wants_write() ? 0 : send(descriptor_, step.shared->data(), step.shared->size(), MSG_NOSIGNAL);
    if (put < 0 && errno != EAGAIN) return Progress::closed;
    output_.append(*step.shared, static_cast<size_t>(std::max<ssize_t>(put, 0)));
    step.shared = nullptr;
  }
  output_ += step.text;
  step.text.clear();
  if (step.fill > 0) {
    write_filler(step);
    if (step.fill > 0) return Progress::made;
  }
  if (step.framing == Framing::chunked) output_ += "0\r\n\r\n";
  auto after = step.after;
  steps_.pop_front();
  if (after == After::keep && !(steps_.empty() && close_after_ && reading_ == Reading::nothing))
    return Progress::made;
  flush();
  if (wants_write() && after != After::reset) {  // a slow reader still gets the rest
    steps_.push_front({.after = After::close});
    return Progress::none;
  }
  if (after == After::reset) {
    linger hard{.l_onoff = 1, .l_linger = 0};
    setsockopt(descriptor_, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
  }
  return Progress::closed;
}

void Connection::write_filler(Step& step) {
  auto piece = std::min<uint64_t>(step.fill, filler_piece);
  if (step.framing == Framing::chunked) append_hex(output_, piece), output_ += "\r\n";
  output_.append(filler().substr(0, piece));
  if (step.framing == Framing::chunked) output_ += "\r\n";
  step.fill -= piece;
}

Connection::Progress Connection::read_input() {
  switch (reading_) {
    case Reading::head: return read_head();
    case Reading::body_length: return read_length_body();
    case Reading::body_chunked: return read_chunk();
    case Reading::websocket: return read_websocket();
    case Reading::nothing: return close_after_ ? Progress::closed : Progress::none;
  }
  return Progress::closed;
}

void Connection::take(size_t size) {
  taken_ += size;
  if (taken_ == input_.size()) {
    input_.clear();
    taken_ = 0;
  } else if (taken_ > most_input) {
    input_.erase(0, taken_);
    taken_ = 0;
  }
}

Connection::Progress Connection::read_head() {
  auto length = head_length(unread());
  if (!length) return unread().size() > most_input / 2 ? Progress::closed : Progress::none;
  head_.assign(unread().substr(0, *length));
  take(*length);
  if (!parse_head(head_, request_)) return Progress::closed;
  ++origin_.request;
  body_ = {};
  answered_ = false;
  copy_ = Copy::no;
  close_after_ = !request_.keep_alive();
  bool chunked = !request_.header("transfer-encoding").empty();
  body_left_ = chunked ? 0 : parse_number(request_.header("content-length"), 0);
  if (equal_ignoring_case(request_.header("expect"), "100-continue") && !answers_at_head(request_))
    output_ += "HTTP/1.1 100 Continue\r\n\r\n";
  if (request_.path == "/echo" && !is_websocket(request_)) {
    steps_.push_back({.text = echo_head(request_, origin_)});
    copy_ = chunked ? Copy::chunked : Copy::plain;
    answered_ = true;
  } else if (answers_at_head(request_)) {
    answer(request_, body_, origin_, steps_);
    answered_ = true;
  }
  reading_ = chunked ? Reading::body_chunked : Reading::body_length;
  if (!chunked && body_left_ == 0) end_of_request();
  return Progress::made;
}

Connection::Progress Connection::read_length_body() {
  auto piece = unread().substr(0, body_left_);
  if (piece.empty()) return Progress::none;
  body_left_ -= piece.size();
  take_body(piece);
  take(piece.size());
  if (body_left_ == 0) end_of_request();
  return Progress::made;
}

// One chunk, or the part of it that is here; body_left_ counts the data and its final CRLF.
Connection::Progress Connection::read_chunk() {
  if (body_left_ > 2) {
    auto piece = unread().substr(0, body_left_ - 2);
    if (piece.empty()) return Progress::none;
    body_left_ -= piece.size();
    take_body(piece);
    take(piece.size());
    return Progress::made;
  }
  if (body_left_ > 0) {
    if (unread().size() < 2) return Progress::none;
    take(2);
    body_left_ = 0;
    return Progress::made;
  }
  auto line_end = unread().find("\r\n");
  if (line_end == std::string_view::npos) return Progress::none;
  if (uint64_t size = parse_number(unread().substr(0, line_end), 0, 16); size > 0) {
    take(line_end + 2);
    body_left_ = size + 2;
    return Progress::made;
  }
  auto section_end = unread().find("\r\n\r\n");  // the last chunk and its trailers
  if (section_end == std::string_view::npos) return Progress::none;
  take(section_end + 4);
  end_of_request();
  return Progress::made;
}

void Connection::take_body(std::string_view piece) {
  body_.length += piece.size();
  if (body_.start.size() < body_start_kept)
    body_.start.append(piece.substr(0, body_start_kept - body_.start.size()));
  if (copy_ == Copy::chunked) append_hex(output_, piece.size()), output_ += "\r\n";
  if (copy_ != Copy::no) output_ += piece;
  if (copy_ == Copy::chunked) output_ += "\r\n";
}

void Connection::end_of_request() {
  if (copy_ == Copy::chunked) steps_.push_back({.text = "0\r\n\r\n"});
  if (!answered_) answer(request_, body_, origin_, steps_);
  bool upgraded = is_websocket(request_) && !request_.header("sec-websocket-key").empty();
  reading_ = upgraded ? Reading::websocket : close_after_ ? Reading::nothing : Reading::head;
}

Connection::Progress Connection::read_websocket() {
  size_t consumed = 0;
  auto result = echo_frame(unread(), consumed, output_);
  take(consumed);
  if (result == FrameResult::incomplete) return Progress::none;
  if (result == FrameResult::closed) {
    reading_ = Reading::nothing;
    close_after_ = true;
    steps_.push_back({.after = After::close});
  }
  return Progress::made;
}

}  // namespace echo
