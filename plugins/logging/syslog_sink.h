// Syslog receivers. The lines are whole messages already (syslog_header.h). Over UDP and a unix socket each
// is a datagram; over TCP it is counted off (RFC 6587, section 3.4.1). A receiver that is gone is asked again
// with pauses that grow, while lines wait.
//
// Syslog knows no answer. What a datagram's receiver did not take is lost without a word, unless the kernel
// says so; of a TCP connection that broke, what the peer's kernel has not acknowledged is sent once more.
#pragma once
#include <deque>
#include <string>

#include "destination.h"
#include "retry.h"
#include "sink.h"
#include "socket.h"

namespace logging {

struct SyslogSettings {
  Destination to;
  std::chrono::nanoseconds timeout = std::chrono::seconds(5);  // of connecting, and of sending anything
  RetryPolicy retry;
};

// What both kinds have in common: the connection and its return.
class SyslogSink : public Sink {
 public:
  SyslogSink(SyslogSettings settings, Report& report, Ending& ending)
      : settings_(std::move(settings)), report_(report), ending_(ending), outage_(report) {}
  void open() override {}  // the receiver may come later

 protected:
  // False: no connection, and no more patience for it.
  bool connect(Backoff& backoff);
  // Before something is tried once more; false: no more patience.
  bool pause(Backoff& backoff);
  void say_failed(const std::string& why);
  Loss why_lost() const { return ending_.over() ? Loss::shutdown : Loss::unavailable; }
  Clock::duration bounded(Clock::duration wanted) const { return ending_.bounded(wanted); }

  const SyslogSettings settings_;
  Report& report_;
  Ending& ending_;
  Socket socket_;

 private:
  Outage outage_;
};

class DatagramSyslogSink final : public SyslogSink {
 public:
  using SyslogSink::SyslogSink;
  void take(Ring::Span lines) override;

 private:
  void send(std::string_view message);
  enum class Next { done, again, later, give_up };
  Next send_once(std::string_view message);
};

class StreamSyslogSink final : public SyslogSink {
 public:
  using SyslogSink::SyslogSink;
  void take(Ring::Span lines) override;
  std::optional<Clock::time_point> settle(Settle how) override;

 private:
  void add(std::string_view message);
  bool send_waiting();
  void forget_acknowledged();
  void broken(const std::string& why);

  std::string frames_;        // all that is not known to have arrived
  std::deque<size_t> sizes_;  // of each of them
  size_t written_ = 0;        // bytes of frames_ that this connection has been given
};

}  // namespace logging
