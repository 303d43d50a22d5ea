// Answers of Redis, as far as we ask for any: numbers, lists of numbers, short texts and errors. Read with
// hiredis' parser into one place that is used again, so that nothing is allocated for an answer; its buffer
// is bounded. Whoever sends anything else is no Redis that we can use.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

struct redisReader;

namespace penstock::store {

struct RedisReply {
  enum class Kind : uint8_t { number, numbers, text, error, other };
  static constexpr size_t max_numbers = 32;
  static constexpr size_t max_text = 128;

  Kind kind = Kind::other;
  size_t count = 0;  // of numbers
  std::array<int64_t, max_numbers> numbers{};
  size_t size = 0;  // of the text, which may be cut
  std::array<char, max_text> chars{};
  std::string_view text() const { return {chars.data(), size}; }
};

class RedisReplies {
 public:
  static constexpr size_t max_buffered = 64 * 1024;

  RedisReplies();
  ~RedisReplies();
  // A connection's bytes begin anew.
  void reset();
  // False: that is too much without a whole answer, or not the protocol.
  bool feed(std::string_view bytes);
  enum class Next : uint8_t { whole, partial, broken };
  Next next();
  const RedisReply& reply() const { return reply_; }

 private:
  struct Functions;
  struct Free {
    void operator()(redisReader* reader) const;
  };
  RedisReply reply_;
  std::unique_ptr<redisReader, Free> reader_;
};

}  // namespace penstock::store
