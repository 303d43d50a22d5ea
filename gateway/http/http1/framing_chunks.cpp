// The chunked coding (RFC 9112 7.1), byte by byte; see framing.h.
#include <algorithm>

#include "http/http1/framing.h"
#include "http/http1/syntax.h"

namespace penstock::http::http1 {
namespace {

// The line of one chunk with its extensions: nobody sends long ones. What goes beyond a bare size has to be
// outweighed by data, but for a first allowance.
constexpr uint32_t max_chunk_line = 1024;
constexpr uint32_t bare_chunk_line = 20;
constexpr uint32_t max_chunk_overhead = 16 * 1024;

}  // namespace

ChunkReader::Found ChunkReader::next(std::string_view& input, std::string_view& data) {
  while (!input.empty() && state_ != State::failed) {
    if (state_ == State::data) {
      data = input.substr(0, static_cast<size_t>(std::min<uint64_t>(left_, input.size())));
      input.remove_prefix(data.size());
      left_ -= data.size();
      overhead_ -= static_cast<uint32_t>(std::min<uint64_t>(overhead_, data.size()));
      if (left_ == 0) state_ = State::data_cr;
      return Found::data;
    }
    state_ = step(input.front());
    input.remove_prefix(1);
    if (state_ == State::over) return Found::last;
  }
  return state_ == State::failed ? Found::error : Found::more;
}

ChunkReader::State ChunkReader::step(char c) {
  if (++line_ > max_chunk_line) return fail("a chunk line that is too long");
  if (line_ > bare_chunk_line && ++overhead_ > max_chunk_overhead) return fail("more chunk lines than data");
  bool text = count_controls({&c, 1}) == 0;
  switch (state_) {
    case State::size_begin: left_ = 0; return add_digit(c);
    case State::size:
      if (c == ';') return State::name_begin;
      if (c == ' ' || c == '\t') return State::blank;
      return c == '\r' ? State::line_end : add_digit(c);
    case State::name_begin:
      if (c == ' ' || c == '\t') return State::name_begin;
      return token_char(c) ? State::name : fail("a chunk extension without a name");
    case State::name:
      if (c == ' ' || c == '\t') return State::name_blank;
      if (c == '=') return State::value_begin;
      return token_char(c) ? State::name : behind_extension(c);
    case State::name_blank:
      if (c == '=') return State::value_begin;
      [[fallthrough]];
    case State::blank:
      if (c == ' ' || c == '\t') return state_;
      return c == ';' ? State::name_begin : fail("a blank that ends a chunk line");
    case State::value_begin:
      if (c == ' ' || c == '\t') return State::value_begin;
      if (c == '"') return State::quoted;
      return token_char(c) ? State::value : fail("a chunk extension without a value");
    case State::value: return token_char(c) ? State::value : behind_extension(c);
    case State::quoted:
      if (c == '"') return State::value_end;
      if (c == '\\') return State::escaped;
      [[fallthrough]];
    case State::escaped: return text ? State::quoted : fail("a control byte in a chunk extension");
    case State::value_end: return behind_extension(c);
    case State::line_end:
      if (c != '\n') return fail("a chunk line with a bare CR");
      line_ = 0;
      return left_ == 0 ? State::over : State::data;
    case State::data_cr: return c == '\r' ? State::data_lf : fail("a chunk that is longer than its size");
    case State::data_lf: line_ = 0; return c == '\n' ? State::size_begin : fail("a bare CR behind a chunk");
    default: return fail("bytes behind the last chunk");
  }
}

ChunkReader::State ChunkReader::add_digit(char c) {
  int value = digit(c) ? c - '0' : ascii_lower(c) - 'a' + 10;
  if (!digit(c) && (value < 10 || value > 15)) return fail("a chunk size that is no plain number");
  if (left_ > INT64_MAX / 16) return fail("a chunk size over 63 bits");
  left_ = left_ * 16 + static_cast<uint64_t>(value);
  return State::size;
}

ChunkReader::State ChunkReader::behind_extension(char c) {
  if (c == ';') return State::name_begin;
  if (c == ' ' || c == '\t') return State::blank;
  return c == '\r' ? State::line_end : fail("a byte that no chunk extension may have");
}

ChunkReader::State ChunkReader::fail(std::string_view text) {
  error_ = text;
  return State::failed;
}

}  // namespace penstock::http::http1
