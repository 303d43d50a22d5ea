// A connected socket of the writer's thread: every call is bounded in time. The descriptor is its own.
#pragma once
#include <chrono>
#include <string>
#include <string_view>

#include "destination.h"
#include "sink.h"

namespace logging {

class Socket {
 public:
  enum class Sent { all, part, nothing };

  Socket() = default;
  ~Socket() { close(); }
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;

  bool connected() const { return fd_ >= 0; }
  // To the destination's receiver: false, and in `error` why. Names are resolved anew each time.
  bool connect(const Destination& to, Clock::duration timeout, std::string& error);
  // One write; waits at most so long until something can be written. What was written: `*n` bytes; < 0: the
  // error, ETIMEDOUT when the time was over.
  ssize_t send(std::string_view bytes, Clock::duration timeout);
  // Bytes of a stream that the peer's kernel has not acknowledged, also after the connection has failed.
  size_t unacknowledged() const;
  // A stream that the peer has ended; what it says is thrown away.
  bool ended_by_peer() const;
  // Ends our side and waits until the peer has ended its own, having read everything.
  bool finish(Clock::duration timeout);
  void close();

 private:
  int fd_ = -1;
};

}  // namespace logging
