// Reads the messages of one HTTP/1 connection side: llhttp in its strict mode finds the lines of a head and
// where it ends; each line is then read again by itself, framing.h judges the start line, the fields and
// where the body ends, and all must agree. A pull parser: next() returns one event at a time and no llhttp
// frame is on the stack meanwhile, so whoever handles the event may do anything, reset() included. Member of
// a connection; head text lies in the stream's arena, copied once if it came in one read. It knows nothing of
// transports and handlers.
#pragma once
#include <llhttp.h>

#include <cstdint>
#include <span>
#include <string_view>

#include "base/result.h"
#include "http/http1/framing.h"
#include "http/message.h"

namespace penstock::http::http1 {

struct HeadLimits {
  uint32_t size = 0;   // bytes of a head with its start line
  uint32_t count = 0;  // fields of a head
  uint32_t target = UINT32_MAX;
  uint32_t trailer_size = 8 * 1024;
  uint32_t trailer_count = 32;
};

enum class Event : uint8_t {
  more,           // the input is used up
  head,           // message() and framing() are valid; no `end` follows when complete()
  informational,  // a 1xx other than 101: message() until the next call
  data,           // data(): part of the input that was given
  end,            // trailers() is valid
  error           // error(); nothing more comes until reset()
};

class Parser {
 public:
  // message and trailers belong to the stream and use its arena.
  Parser(Side side, Message& message, Headers& trailers, HeadLimits limits);
  Parser(const Parser&) = delete;
  Parser& operator=(const Parser&) = delete;

  // Responses: before the first byte of the response.
  void ask(const Asked& asked) { asked_ = asked; }
  // Takes what it reads off the front of `input`. To be called until it says `more`, `end` or `error`.
  Event next(std::string_view& input);
  // The peer ended its side: `end` for a body that ends so, `error` for a message that was cut, `more` when
  // there was none.
  Event finish();
  // After a complete request that was answered with 101: all further bytes are data.
  void tunnel() { phase_ = Phase::tunnel; }
  // For the next message; the arena was emptied or will be.
  void reset();

  const Framing& framing() const { return framing_; }
  std::string_view data() const { return data_; }
  const Error& error() const { return error_; }
  bool head_begun() const { return stored_size_ > 0 || phase_ > Phase::line; }
  // As made, or reset: not even the empty line was read that may stand before a request.
  bool untouched() const { return phase_ == Phase::start && blank_line_ == BlankLine::none; }
  bool in_head() const { return phase_ <= Phase::fields; }
  bool complete() const { return phase_ == Phase::done; }
  // Of a body by length, what is still to come; 0 for every other.
  uint64_t body_left() const { return phase_ == Phase::length ? remaining_ : 0; }
  // So much of that has come another way. next() has the end, if this was the last of it.
  void skip(uint64_t bytes) {
    remaining_ -= bytes;
    if (remaining_ == 0) phase_ = Phase::ending;
  }

 private:
  enum class Phase : uint8_t {
    start,
    line,
    fields,
    length,
    chunked,
    trailers,
    close,
    tunnel,
    ending,
    done,
    failed
  };
  enum class BlankLine : uint8_t { none, half, seen };  // the one empty line that may stand before a request

  static const llhttp_settings_t& settings();
  static int on_field(llhttp_t* parser, const char* at, size_t size);
  static int on_value_complete(llhttp_t* parser);
  static int on_headers_complete(llhttp_t* parser);

  Event read_start(std::string_view& input);
  Event read_line(std::string_view& input);
  Event read_fields(std::string_view& input);
  Event read_counted(std::string_view& input);
  Event read_chunks(std::string_view& input);
  Event read_trailers(std::string_view& input);
  Event finish_head();
  Event finish_trailers();
  Event fail(const Error& error);
  Event fail_malformed(std::string_view text);
  Event fail_too_large(Limit limit);
  Event fail_llhttp(llhttp_errno code);
  void recover_message();

  enum class Rest : uint8_t { none, comes };  // of the head or the trailers, in another read
  void store(std::string_view bytes, Rest rest);
  void widen_lines(uint32_t capacity);
  void hold_lines();
  bool judge_line(std::string_view line);
  void set_line();
  void forget_stored();
  bool add_line(uint32_t begin);
  std::string_view stored() const { return {stored_, stored_size_}; }
  // The lines from `first` on as fields with lower-case names and trimmed values; the text of what is wrong.
  const char* add_fields(Headers& to, uint32_t first);

  llhttp_t llhttp_;
  Message& message_;
  Headers& trailers_;
  HeadLimits limits_;
  Side side_;
  Phase phase_ = Phase::start;
  bool line_open_ = false;  // llhttp is within the last of lines_
  bool lines_held_ = false;
  bool too_many_ = false;
  BlankLine blank_line_ = BlankLine::none;
  Version version_ = Version::http_1_1;
  uint16_t status_ = 0;
  uint32_t method_size_ = 0;  // in the stored head
  uint32_t target_size_ = 0;
  uint32_t line_size_ = 0;  // with its CRLF; 0: not read yet
  uint32_t earlier_ = 0;    // bytes of interim heads: they count against the same limit

  Asked asked_;
  Framing framing_;
  uint64_t remaining_ = 0;
  ChunkReader chunks_;
  std::string_view data_;
  Error error_;

  // The head (later the trailers) as far as it was read, in the arena.
  char* stored_ = nullptr;
  uint32_t stored_size_ = 0;
  uint32_t stored_capacity_ = 0;
  // What llhttp is being given: its pointers minus fed_ plus fed_at_ are positions in the head.
  const char* fed_ = nullptr;
  uint32_t fed_at_ = 0;
  // Where each field line of it begins. On read_fields' stack while it is there, unless they are held.
  uint32_t* lines_ = nullptr;
  uint32_t line_count_ = 0;
  uint32_t line_capacity_ = 0;
};

}  // namespace penstock::http::http1
