#include "http/http1/parser.h"

#include <algorithm>
#include <cassert>
#include <cstring>

#include "base/reason.h"
#include "http/http1/syntax.h"

namespace penstock::http::http1 {
namespace {

constexpr uint32_t first_store = 512;
constexpr uint32_t first_lines = 16;
constexpr uint32_t spare_lines = 128;   // on the stack, until a head turns out to come in several reads
constexpr uint64_t around_target = 64;  // method, blanks and version of a request line

Parser* self_of(llhttp_t* parser) { return static_cast<Parser*>(parser->data); }

// What llhttp refuses in field lines, in words for the log and the answer.
std::string_view meaning(llhttp_errno code) {
  switch (code) {
    case HPE_INVALID_CONTENT_LENGTH: return "a Content-Length that is not one plain number";
    case HPE_UNEXPECTED_CONTENT_LENGTH: return "a second Content-Length, or one beside Transfer-Encoding";
    case HPE_INVALID_TRANSFER_ENCODING: return "a Transfer-Encoding that does not end in chunked";
    case HPE_CR_EXPECTED:
    case HPE_LF_EXPECTED: return "a line that does not end in CRLF";
    case HPE_UNEXPECTED_SPACE: return "a folded line, or a blank where none may be";
    default: return "a field line that is none";
  }
}

}  // namespace

Parser::Parser(Side side, Message& message, Headers& trailers, HeadLimits limits)
    : message_(message), trailers_(trailers), limits_(limits), side_(side) {
  llhttp_init(&llhttp_, side == Side::request ? HTTP_REQUEST : HTTP_RESPONSE, &settings());
  llhttp_.data = this;
}

const llhttp_settings_t& Parser::settings() {
  static const llhttp_settings_t shared = [] {
    llhttp_settings_t made;
    llhttp_settings_init(&made);
    made.on_header_field = on_field;
    made.on_header_value_complete = on_value_complete;
    made.on_headers_complete = on_headers_complete;
    return made;
  }();
  return shared;
}

void Parser::reset() {
  llhttp_reset(&llhttp_);
  phase_ = Phase::start;
  too_many_ = false;
  blank_line_ = BlankLine::none;
  version_ = Version::http_1_1;
  line_size_ = earlier_ = 0;
  framing_ = {};
  chunks_ = {};
  asked_ = {};
  data_ = {};
  forget_stored();
}

void Parser::forget_stored() {
  stored_ = nullptr;
  stored_size_ = stored_capacity_ = 0;
  lines_ = nullptr;
  line_count_ = line_capacity_ = 0;
  line_open_ = lines_held_ = false;
}

Event Parser::next(std::string_view& input) {
  switch (phase_) {
    case Phase::start: return input.empty() ? Event::more : read_start(input);
    case Phase::line: return read_line(input);
    case Phase::fields: return input.empty() ? Event::more : read_fields(input);
    case Phase::length: return read_counted(input);
    case Phase::chunked: return read_chunks(input);
    case Phase::trailers: return read_trailers(input);
    case Phase::close:
    case Phase::tunnel:
      if (input.empty()) return Event::more;
      data_ = input;
      input = {};
      return Event::data;
    case Phase::ending: phase_ = Phase::done; return Event::end;
    case Phase::done: return Event::more;
    case Phase::failed: return Event::error;
  }
  return Event::error;
}

Event Parser::finish() {
  switch (phase_) {
    case Phase::close:
    case Phase::tunnel:
    case Phase::ending: phase_ = Phase::done; return Event::end;
    case Phase::start:
      return earlier_ ? fail_malformed("the connection ended before the answer") : Event::more;
    case Phase::done: return Event::more;
    case Phase::failed: return Event::error;
    default: return fail_malformed("the connection ended within the message");
  }
}

// RFC 9112 2.2: one empty line before a request is ignored; before a response it is garbage.
Event Parser::read_start(std::string_view& input) {
  if (side_ == Side::request && blank_line_ != BlankLine::seen) {
    if (blank_line_ == BlankLine::none && input.front() == '\r') {
      blank_line_ = BlankLine::half;
      input.remove_prefix(1);
    }
    if (blank_line_ == BlankLine::half) {
      if (input.empty()) return Event::more;
      if (input.front() != '\n') return fail_malformed("a bare CR before the request");
      input.remove_prefix(1);
      blank_line_ = BlankLine::seen;
      if (input.empty()) return Event::more;
    }
  }
  phase_ = Phase::line;
  return read_line(input);
}

// The start line is judged before llhttp sees a byte of it. It may come in pieces, which are kept; a line
// that lies in the input as a whole is left there and goes to llhttp with the fields.
Event Parser::read_line(std::string_view& input) {
  if (input.empty()) return Event::more;
  size_t room = limits_.size - std::min(limits_.size, earlier_ + stored_size_);
  std::string_view piece = input.substr(0, room);
  size_t lf = piece.find('\n');
  if (lf == std::string_view::npos) {
    if (stored_size_ == 0 && !token_char(piece.empty() ? 'x' : piece.front()))
      return fail_malformed("the first byte begins no HTTP message");
    bool longer = side_ == Side::request && stored_size_ + piece.size() > limits_.target + around_target;
    if (longer || piece.size() < input.size()) return fail_too_large(Limit::uri_size);
    input = {};
    store(piece, Rest::comes);
    return Event::more;
  }
  if (stored_size_ == 0) {
    if (!judge_line(piece.substr(0, lf + 1))) return Event::error;
    phase_ = Phase::fields;
    return read_fields(input);
  }
  store(piece.substr(0, lf + 1), Rest::comes);
  if (!judge_line(stored())) return Event::error;
  input.remove_prefix(lf + 1);
  fed_ = stored_;
  fed_at_ = 0;
  if (auto code = llhttp_execute(&llhttp_, stored_, stored_size_); code != HPE_OK) return fail_llhttp(code);
  phase_ = Phase::fields;
  return input.empty() ? Event::more : read_fields(input);
}

bool Parser::judge_line(std::string_view line) {
  if (!line.ends_with("\r\n")) {
    fail_malformed("a line that ends in a bare LF");
    return false;
  }
  line.remove_suffix(2);
  if (side_ == Side::request) {
    auto read = read_request_line(line);
    if (!read) return fail(read.error()), false;
    version_ = read->version;
    method_size_ = static_cast<uint32_t>(read->method.size());
    target_size_ = static_cast<uint32_t>(read->target.size());
    if (target_size_ > limits_.target) return fail_too_large(Limit::uri_size), false;
  } else {
    auto read = read_status_line(line);
    if (!read) return fail(read.error()), false;
    version_ = read->version;
    status_ = read->status;
    target_size_ = static_cast<uint32_t>(read->text.size());
  }
  line_size_ = static_cast<uint32_t>(line.size() + 2);
  return true;
}

Event Parser::read_fields(std::string_view& input) {
  uint32_t spare[spare_lines];
  if (!lines_) {
    lines_ = spare;
    line_capacity_ = spare_lines;
  }
  size_t room = limits_.size - std::min(limits_.size, earlier_ + stored_size_);
  std::string_view piece = input.substr(0, room);
  fed_ = piece.data();
  fed_at_ = stored_size_;
  auto code = llhttp_execute(&llhttp_, piece.data(), piece.size());
  size_t used =
      code == HPE_OK ? piece.size() : static_cast<size_t>(llhttp_get_error_pos(&llhttp_) - piece.data());
  // A refused method still gets into the log.
  if (code != HPE_OK && code != HPE_PAUSED && stored_size_ == 0) used = std::max<size_t>(used, line_size_);
  store(piece.substr(0, used), code == HPE_OK ? Rest::comes : Rest::none);
  if (code == HPE_PAUSED) {
    input.remove_prefix(used);
    return finish_head();
  }
  if (too_many_) return fail_too_large(Limit::header_count);
  if (code != HPE_OK) return fail_llhttp(code);
  if (used < input.size()) return fail_too_large(Limit::header_size);
  hold_lines();
  input = {};
  return Event::more;
}

Event Parser::read_counted(std::string_view& input) {
  if (input.empty()) return Event::more;
  size_t size = static_cast<size_t>(std::min<uint64_t>(remaining_, input.size()));
  data_ = input.substr(0, size);
  input.remove_prefix(size);
  remaining_ -= size;
  if (remaining_ == 0) phase_ = Phase::ending;
  return Event::data;
}

Event Parser::read_chunks(std::string_view& input) {
  switch (chunks_.next(input, data_)) {
    case ChunkReader::Found::more: return Event::more;
    case ChunkReader::Found::data: return Event::data;
    case ChunkReader::Found::error: return fail_malformed(chunks_.error());
    case ChunkReader::Found::last: break;
  }
  phase_ = Phase::trailers;
  forget_stored();
  fed_at_ = 0;
  return read_trailers(input);
}

// The trailers are kept like a head until the empty line behind them; fed_at_ is where their last line
// begins.
Event Parser::read_trailers(std::string_view& input) {
  while (!input.empty()) {
    std::string_view piece = input.substr(0, limits_.trailer_size - stored_size_);
    size_t lf = piece.find('\n');
    size_t used = lf == std::string_view::npos ? piece.size() : lf + 1;
    store(piece.substr(0, used), Rest::none);
    input.remove_prefix(used);
    if (lf == std::string_view::npos) {
      if (!input.empty()) return fail_too_large(Limit::trailer_size);
      return Event::more;
    }
    std::string_view line = stored().substr(fed_at_);
    if (!line.ends_with("\r\n")) return fail_malformed("a line that ends in a bare LF");
    if (line.size() == 2) return finish_trailers();
    if (!token_char(line.front()) || count_controls(line) != 2)
      return fail_malformed("a trailer that is no field line");
    if (!add_line(fed_at_)) return fail_too_large(Limit::trailer_count);
    fed_at_ = stored_size_;
  }
  return Event::more;
}

// A head that came in one read is copied exactly once, into the arena. One that did not is what a slow client
// makes us hold: that has memory of its size. Trailers are small and come as a whole nearly always.
void Parser::store(std::string_view bytes, Rest rest) {
  const size_t size = stored_size_ + bytes.size();
  if (size > stored_capacity_) {
    Arena& arena = message_.headers.arena();
    const bool head = phase_ != Phase::trailers;
    const size_t capacity = !head                 ? std::max<size_t>(first_store, size * 2)
                            : rest == Rest::comes ? size + size / 16 + 32
                                                  : size;
    if (head && (stored_size_ > 0 || rest == Rest::comes)) {
      stored_ = static_cast<char*>(arena.resize(stored_, stored_size_, capacity));
    } else {
      char* wider = static_cast<char*>(arena.allocate(capacity, 1));
      if (stored_size_) std::memcpy(wider, stored_, stored_size_);
      stored_ = wider;
    }
    stored_capacity_ = static_cast<uint32_t>(capacity);
  }
  if (!bytes.empty()) std::memcpy(stored_ + stored_size_, bytes.data(), bytes.size());
  stored_size_ = static_cast<uint32_t>(size);
}

void Parser::set_line() {
  std::string_view line = stored();
  message_.version = version_;
  if (side_ == Side::request) {
    message_.method_text = line.substr(0, method_size_);
    message_.method = method_from(message_.method_text);
    message_.target = line.substr(method_size_ + 1, target_size_);
  } else {
    message_.status = status_;
    message_.status_text = line.substr(line_size_ - 2 - target_size_, target_size_);
  }
}

// The lines adjoin, each ends in CRLF, and no other control byte is anywhere: nobody else can find other
// lines in this text.
const char* Parser::add_fields(Headers& to, uint32_t first) {
  static constexpr const char* bad_line = "a control byte or a line that does not end in CRLF";
  uint32_t ends = line_count_ + (first ? 2 : 1);
  if (!stored().ends_with("\r\n") || count_controls(stored()) != 2 * ends) return bad_line;
  if ((line_count_ ? lines_[0] : stored_size_ - 2) != first) return "a line that was not read";
  for (uint32_t i = 0; i < line_count_; ++i) {
    uint32_t end = i + 1 < line_count_ ? lines_[i + 1] : stored_size_ - 2;
    std::string_view text = stored().substr(lines_[i], end - lines_[i]);
    if (!text.ends_with("\r\n")) return bad_line;
    char* name = stored_ + lines_[i];
    size_t size = 0;
    while (char lower = token_lower[static_cast<unsigned char>(name[size])]) name[size++] = lower;
    if (size == 0 || name[size] != ':') return "a field name that is no token";
    to.add({name, size}, trim(text.substr(size + 1, text.size() - size - 3)));
  }
  return nullptr;
}

Event Parser::finish_head() {
  set_line();
  if (const char* bad = add_fields(message_.headers, line_size_)) return fail_malformed(bad);
  auto framed = side_ == Side::request ? frame_request(message_) : frame_response(message_, asked_);
  if (!framed) return fail(framed.error());
  framing_ = *framed;
  // llhttp's reading is the second opinion.
  constexpr uint16_t chunked_flag = 1 << 3;
  bool agreed = (llhttp_.flags & chunked_flag) != 0 || framing_.body != BodyEnd::chunked;
  if (framing_.body == BodyEnd::length) agreed = llhttp_.content_length == framing_.length;
  if (!agreed) return fail_malformed("two readings of where the message ends");
  if (side_ == Side::response && status_ < 200 && status_ != 101) {
    // The next head is read anew; all of them share one limit.
    uint32_t read = earlier_ + stored_size_;
    Asked asked = asked_;
    reset();
    earlier_ = read;
    asked_ = asked;
    return Event::informational;
  }
  switch (framing_.body) {
    case BodyEnd::none: phase_ = Phase::done; break;
    case BodyEnd::length: phase_ = Phase::length; break;
    case BodyEnd::chunked: phase_ = Phase::chunked; break;
    case BodyEnd::close: phase_ = Phase::close; break;
    case BodyEnd::tunnel: phase_ = Phase::tunnel; break;
  }
  remaining_ = framing_.length;
  return Event::head;
}

Event Parser::finish_trailers() {
  if (const char* bad = add_fields(trailers_, 0)) return fail_malformed(bad);
  if (auto checked = check_trailers(trailers_, side_, message_.nominating); !checked)
    return fail(checked.error());
  phase_ = Phase::done;
  return Event::end;
}

Event Parser::fail(const Error& error) {
  bool in_head = phase_ <= Phase::fields;
  error_ = error;
  phase_ = Phase::failed;
  if (in_head) recover_message();
  return Event::error;
}

Event Parser::fail_malformed(std::string_view text) {
  return fail(side_ == Side::request ? request_error(reason::request_malformed, text) : response_error(text));
}

// `limit` is the listener's; an upstream's has the same name.
Event Parser::fail_too_large(Limit limit) {
  constexpr std::string_view text = "the head or the trailers are over their limit";
  auto of_upstream = [&] {
    switch (limit) {
      case Limit::header_count: return Limit::upstream_header_count;
      case Limit::trailer_size: return Limit::upstream_trailer_size;
      case Limit::trailer_count: return Limit::upstream_trailer_count;
      default: return Limit::upstream_header_size;
    }
  };
  Error error;
  if (side_ == Side::request) {
    error = request_error(
        limit == Limit::uri_size ? reason::request_uri_too_long : reason::request_header_too_large, text);
    error.limit = limit;
  } else {
    error = response_error(text);
    error.reason = reason::upstream_too_large;
    error.limit = of_upstream();
  }
  error.kind = ErrorKind::limit;
  return fail(error);
}

Event Parser::fail_llhttp(llhttp_errno code) {
  // The line was judged good before, so what llhttp refuses in it can only be a method that it does not know.
  bool method = side_ == Side::request && line_count_ == 0 &&
                (code == HPE_INVALID_METHOD || code == HPE_INVALID_CONSTANT || code == HPE_INVALID_VERSION);
  if (method)
    return fail(request_error(reason::request_unsupported_method, "a method that is not forwarded"));
  return fail_malformed(meaning(code));
}

// A refused head as far as it was understood, for the answer and the log.
void Parser::recover_message() {
  message_.version = version_;
  if (side_ == Side::response || line_size_ == 0 || line_size_ > stored_size_) return;
  set_line();
  if (message_.path.empty()) {
    size_t mark = message_.target.find('?');
    message_.path = message_.target.substr(0, mark);
    message_.has_query = mark != std::string_view::npos;
    if (message_.has_query) message_.query = message_.target.substr(mark + 1);
  }
  if (message_.headers.empty()) {
    for (uint32_t i = 0; i + line_open_ < line_count_; ++i) {
      std::string_view text = stored().substr(lines_[i]);
      text = text.substr(0, text.find_first_of("\r\n"));
      size_t colon = text.find(':');
      if (colon == std::string_view::npos) continue;
      char* name = stored_ + lines_[i];
      std::transform(name, name + colon, name, ascii_lower);
      message_.headers.add(text.substr(0, colon), trim(text.substr(colon + 1)));
    }
  }
  if (const Field* host = message_.headers.find(HeaderId::host); host && message_.authority.empty())
    message_.authority =
        canonical_authority(host->value, message_.headers.arena()).value_or(std::string_view{});
  message_.headers.remove_if([](const Field& field) { return (request_fields & bit(field.id)) != 0; });
}

bool Parser::add_line(uint32_t begin) {
  if (line_count_ == (phase_ == Phase::trailers ? limits_.trailer_count : limits_.count)) {
    too_many_ = true;
    return false;
  }
  if (line_count_ == line_capacity_) widen_lines(line_capacity_ ? line_capacity_ * 2 : first_lines);
  lines_[line_count_++] = begin;
  return true;
}

void Parser::widen_lines(uint32_t capacity) {
  Arena& arena = message_.headers.arena();
  if (phase_ == Phase::trailers) {
    std::span<uint32_t> moved = arena.make_array<uint32_t>(capacity);
    std::copy_n(lines_, line_count_, moved.begin());
    lines_ = moved.data();
  } else {
    lines_ =
        static_cast<uint32_t*>(arena.resize(lines_, line_count_ * sizeof *lines_, capacity * sizeof *lines_));
    lines_held_ = true;
  }
  line_capacity_ = capacity;
}

// Until the next read.
void Parser::hold_lines() {
  if (lines_held_) return;
  if (line_count_ > 0) return widen_lines(line_count_ + first_lines / 2);
  lines_ = nullptr;
  line_capacity_ = 0;
}

int Parser::on_field(llhttp_t* parser, const char* at, size_t) {
  Parser* self = self_of(parser);
  if (self->line_open_) return 0;
  self->line_open_ = true;
  return self->add_line(static_cast<uint32_t>(at - self->fed_) + self->fed_at_) ? 0 : HPE_USER;
}

int Parser::on_value_complete(llhttp_t* parser) {
  self_of(parser)->line_open_ = false;
  return 0;
}

int Parser::on_headers_complete(llhttp_t*) { return HPE_PAUSED; }

}  // namespace penstock::http::http1
