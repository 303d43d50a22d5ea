#include "store/redis_reply.h"

#include <hiredis/hiredis.h>

#include <algorithm>
#include <cstring>

namespace penstock::store {

// The parser's callbacks: what they return only has to be something. Newer versions have further kinds, which
// need RESP3, and that is never asked for.
struct RedisReplies::Functions {
  static RedisReply& reply_of(const redisReadTask* task) { return *static_cast<RedisReply*>(task->privdata); }

  static bool nested(const redisReadTask* task) { return task->parent != nullptr; }

  // The outermost one says what the answer is; what lies in a list goes to its place.
  static void* take_number(RedisReply& reply, const redisReadTask* task, int64_t number) {
    const size_t at = nested(task) ? static_cast<size_t>(task->idx) : 0;
    if (nested(task) && task->parent->parent != nullptr) reply.kind = RedisReply::Kind::other;
    if (!nested(task)) reply.kind = RedisReply::Kind::number, reply.count = 1;
    if (at < RedisReply::max_numbers) reply.numbers[at] = number;
    return &reply;
  }
  static void* take_text(RedisReply& reply, const redisReadTask* task, const char* text, size_t size) {
    if (nested(task)) {
      reply.kind = RedisReply::Kind::other;
      return &reply;
    }
    reply.kind = task->type == REDIS_REPLY_ERROR ? RedisReply::Kind::error : RedisReply::Kind::text;
    reply.size = std::min(size, RedisReply::max_text);
    if (reply.size > 0) std::memcpy(reply.chars.data(), text, reply.size);
    return &reply;
  }
  static void* take_list(RedisReply& reply, const redisReadTask* task, size_t size) {
    reply.kind =
        nested(task) || size > RedisReply::max_numbers ? RedisReply::Kind::other : RedisReply::Kind::numbers;
    reply.count = reply.kind == RedisReply::Kind::numbers ? size : 0;
    return &reply;
  }
  static void* take_nil(RedisReply& reply) {
    reply.kind = RedisReply::Kind::other;
    return &reply;
  }

  // The reader is given as the task's privdata by the parser, for the outermost and what is in it alike.
  template <class Size>
  static void* create_list(const redisReadTask* task, Size size) {
    return take_list(reply_of(task), task, static_cast<size_t>(size));
  }
  static void* create_string(const redisReadTask* task, char* text, size_t size) {
    return take_text(reply_of(task), task, text, size);
  }
  static void* create_number(const redisReadTask* task, long long number) {
    return take_number(reply_of(task), task, number);
  }
  static void* create_nil(const redisReadTask* task) { return take_nil(reply_of(task)); }
  static void free_object(void*) {}

  static redisReplyObjectFunctions* table() {
    static redisReplyObjectFunctions functions = [] {
      redisReplyObjectFunctions out{};
      out.createString = &create_string;
      out.createArray = &create_list;  // its size is an int in older versions
      out.createInteger = &create_number;
      out.createNil = &create_nil;
      out.freeObject = &free_object;
      return out;
    }();
    return &functions;
  }
};

void RedisReplies::Free::operator()(redisReader* reader) const { redisReaderFree(reader); }

RedisReplies::RedisReplies() { reset(); }
RedisReplies::~RedisReplies() = default;

void RedisReplies::reset() {
  reader_.reset(redisReaderCreateWithFunctions(Functions::table()));
  if (reader_ != nullptr) reader_->privdata = &reply_;
}

bool RedisReplies::feed(std::string_view bytes) {
  if (reader_ == nullptr || reader_->len - reader_->pos + bytes.size() > max_buffered + bytes.size())
    return false;
  return redisReaderFeed(reader_.get(), bytes.data(), bytes.size()) == REDIS_OK;
}

RedisReplies::Next RedisReplies::next() {
  void* object = nullptr;
  if (reader_ == nullptr || redisReaderGetReply(reader_.get(), &object) != REDIS_OK) return Next::broken;
  if (object != nullptr) return Next::whole;
  return reader_->len - reader_->pos > max_buffered ? Next::broken : Next::partial;
}

}  // namespace penstock::store
