#include "net/reader_watch.h"

#include <algorithm>

#include "net/socket.h"

namespace penstock::net {
namespace {
constexpr uint32_t looks_per_timeout = 4;
}

ReaderWatch::ReaderWatch(Socket& socket)
    : socket_(socket),
      rate_(socket.send_limits().min_rate, socket.send_limits().timeout_ms),
      timer_(socket.loop(), on_timer, this) {}

void ReaderWatch::start() {
  if (timer_.running()) return;
  looked_ms_ = progress_ms_ = socket_.loop().now_ms();
  taken_ = socket_.bytes_taken();
  rate_.restart();
  timer_.start(std::max(1u, socket_.send_limits().timeout_ms / looks_per_timeout));
}

void ReaderWatch::on_timer(void* self) { static_cast<ReaderWatch*>(self)->look(); }

void ReaderWatch::look() {
  if (!socket_.rest_waits()) return;
  uint64_t now = socket_.loop().now_ms();
  uint64_t taken = std::max(taken_, socket_.bytes_taken());
  rate_.waited(now - looked_ms_);
  rate_.received(taken - taken_);
  if (taken > taken_) progress_ms_ = now;
  looked_ms_ = now;
  taken_ = taken;
  uint32_t timeout = socket_.send_limits().timeout_ms;
  // Last: both may destroy this object.
  if (now - progress_ms_ >= timeout) return socket_.strike(Limit::send_timeout);
  if (rate_.broken()) return socket_.strike(Limit::min_send_rate);
  timer_.start(std::max(1u, timeout / looks_per_timeout));
}

}  // namespace penstock::net
