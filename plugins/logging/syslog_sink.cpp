#include "syslog_sink.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace logging {

void SyslogSink::say_failed(const std::string& why) {
  outage_.failed("cannot reach " + settings_.to.text + ": " + why);
}

bool SyslogSink::pause(Backoff& backoff) {
  const auto wait = backoff.next();
  if (!wait || !ending_.pause(*wait)) return false;
  report_.retried();
  return true;
}

bool SyslogSink::connect(Backoff& backoff) {
  while (!ending_.over()) {
    std::string error;
    if (socket_.connect(settings_.to, bounded(settings_.timeout), error)) {
      outage_.recovered("reached " + settings_.to.text + " again");
      return true;
    }
    say_failed(error);
    if (!pause(backoff)) return false;
  }
  return false;
}

void DatagramSyslogSink::take(Ring::Span span) {
  Lines lines(span);
  for (std::string_view message; lines.next(message);) send(message);
}

void DatagramSyslogSink::send(std::string_view message) {
  Backoff backoff(settings_.retry);
  while (true) {
    if (!socket_.connected() && !connect(backoff)) return report_.lost(why_lost(), 1);
    const Next next = send_once(message);
    if (next == Next::done) return;
    if (next == Next::give_up || (next == Next::later && !pause(backoff))) return report_.lost(why_lost(), 1);
  }
}

DatagramSyslogSink::Next DatagramSyslogSink::send_once(std::string_view message) {
  if (socket_.send(message, bounded(settings_.timeout)) >= 0) return Next::done;
  const int error = errno;
  if (error == EMSGSIZE) {  // more than this way carries
    report_.lost(Loss::refused, 1);
    return Next::done;
  }
  say_failed(std::strerror(error));
  if (error == ETIMEDOUT) return Next::give_up;
  if (settings_.to.kind == Destination::Kind::syslog_udp && error == ECONNREFUSED) {
    report_.lost(Loss::unavailable, 1);  // an earlier one, says ICMP; this one was not sent
    return Next::again;
  }
  socket_.close();
  return Next::later;
}

void StreamSyslogSink::add(std::string_view message) {
  const size_t before = frames_.size();
  frames_ += std::to_string(message.size());
  frames_ += ' ';
  frames_ += message;
  sizes_.push_back(frames_.size() - before);
}

void StreamSyslogSink::take(Ring::Span span) {
  if (socket_.connected()) forget_acknowledged();
  Lines lines(span);
  for (std::string_view message; lines.next(message);) add(message);
  Backoff backoff(settings_.retry);
  while (socket_.connected() || connect(backoff)) {
    if (send_waiting()) return;
    if (!pause(backoff)) break;
  }
  report_.lost(why_lost(), sizes_.size());
  frames_.clear();
  sizes_.clear();
  written_ = 0;
}

// False: the connection is gone, and everything that it may have taken along waits again.
bool StreamSyslogSink::send_waiting() {
  if (socket_.ended_by_peer()) {
    broken("it has closed the connection");
    return false;
  }
  while (written_ < frames_.size()) {
    const ssize_t n = socket_.send(std::string_view(frames_).substr(written_), bounded(settings_.timeout));
    if (n < 0) {
      broken(std::strerror(errno));
      return false;
    }
    written_ += static_cast<size_t>(n);
  }
  return true;
}

void StreamSyslogSink::broken(const std::string& why) {
  say_failed(why);
  forget_acknowledged();
  socket_.close();
  written_ = 0;
}

void StreamSyslogSink::forget_acknowledged() {
  size_t acknowledged = written_ - std::min(socket_.unacknowledged(), written_), whole = 0;
  while (!sizes_.empty() && whole + sizes_.front() <= acknowledged) {
    whole += sizes_.front();
    sizes_.pop_front();
  }
  frames_.erase(0, whole);
  written_ -= whole;
}

// At the end a receiver closes its side once it has read ours.
std::optional<Clock::time_point> StreamSyslogSink::settle(Settle how) {
  if (how == Settle::usual || !socket_.connected()) return std::nullopt;
  if (socket_.finish(bounded(settings_.timeout))) return std::nullopt;
  forget_acknowledged();
  if (!sizes_.empty()) report_.lost(Loss::shutdown, sizes_.size());
  return std::nullopt;
}

}  // namespace logging
