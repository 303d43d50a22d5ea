// The keys of the plugin. What they mean together is checked where it is used: destinations and sinks in
// make_sink.cpp, the rest in logging.cpp.
#pragma once
#include <map>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "penstock_plugin.hpp"
#include "syslog_header.h"

namespace logging {

inline constexpr int64_t one_ms = 1'000'000, one_hour = 3'600'000'000'000;

struct Sample {
  gw::percentage success{1}, errors{1};
  std::optional<gw::duration> slower_than;
  static constexpr auto fields() {
    return std::tuple{gw::opt("success", &Sample::success, "Share of the exchanges that went well"),
                      gw::opt("errors", &Sample::errors,
                              "Share of those with a status of 400 or more, with a reason, or broken off"),
                      gw::opt("slower_than", &Sample::slower_than, "All that took at least so long")};
  }
};

struct Redact {
  std::vector<std::string> headers, query;
  static constexpr auto fields() {
    return std::tuple{gw::opt("headers", &Redact::headers, "Headers whose values are never written"),
                      gw::opt("query", &Redact::query, "Query parameters whose values are never written")};
  }
};

struct Retry {
  gw::duration first = std::chrono::milliseconds(200), longest = std::chrono::seconds(30),
               give_up = std::chrono::minutes(5);
  static constexpr auto fields() {
    return std::tuple{
        gw::opt("first", &Retry::first, "The first pause; each further one is twice as long")
            .range(one_ms, one_hour),
        gw::opt("longest", &Retry::longest, "The longest pause, also when the receiver asks for more")
            .range(one_ms, one_hour),
        gw::opt("give_up", &Retry::give_up, "How long the same lines are tried again before they are lost")
            .range(0, 24 * one_hour)};
  }
};

struct Syslog {
  Facility facility = Facility::local0;
  std::string app_name = "penstock";
  std::optional<gw::bytes> max_message;
  static constexpr auto fields() {
    return std::tuple{gw::opt("facility", &Syslog::facility, "The facility of RFC 5424, local0 unless given"),
                      gw::opt("app_name", &Syslog::app_name, "APP-NAME"),
                      gw::opt("max_message", &Syslog::max_message,
                              "Longest message; what does not fit is left out. 2KiB over UDP, else 8KiB")};
  }
};

struct Http {
  std::string bulk;
  gw::bytes batch{512 * 1024}, max_answer{8 * 1024 * 1024};
  gw::duration flush_interval = std::chrono::seconds(1);
  std::map<std::string, gw::secret> headers;
  gw::path ca;
  static constexpr auto fields() {
    return std::tuple{
        gw::opt("bulk", &Http::bulk, "Index or data stream: Elasticsearch's bulk form").filled(),
        gw::opt("batch", &Http::batch, "Size from which a batch is sent"),
        gw::opt("flush_interval", &Http::flush_interval, "How long a smaller one waits for more lines")
            .range(one_ms, one_hour),
        gw::opt("headers", &Http::headers, "Further fields of the request, such as authorization"),
        gw::opt("ca", &Http::ca, "Authorities that the receiver's certificate may come from").filled(),
        gw::opt("max_answer", &Http::max_answer, "Longest answer of the bulk form that is read")};
  }
};

struct Settings {
  std::string format = "json";
  std::string file = "stdout";
  Sample sample;
  Redact redact;
  gw::bytes queue{1 << 20};
  gw::duration timeout = std::chrono::seconds(5), linger = std::chrono::seconds(2);
  Retry retry;
  std::optional<Syslog> syslog;
  std::optional<Http> http;

  static constexpr auto fields() {
    return std::tuple{
        gw::opt("format", &Settings::format, "json, common, combined, or a template with {attributes}"),
        gw::opt("file", &Settings::file,
                "A path, stdout, stderr, syslog:unix:PATH, syslog:udp:HOST:PORT, syslog:tcp:HOST:PORT, "
                "or a URL of http or https"),
        gw::opt("sample", &Settings::sample, "Which exchanges are written"),
        gw::opt("redact", &Settings::redact, "What is masked besides the built-in headers"),
        gw::opt("queue", &Settings::queue, "Lines that may wait for the writer, per worker"),
        gw::opt("timeout", &Settings::timeout,
                "Of a receiver: until it is connected, takes a message, or has answered a batch")
            .range(one_ms, one_hour),
        gw::opt("linger", &Settings::linger, "How long what is queued may still be written at the end")
            .range(0, one_hour),
        gw::opt("retry", &Settings::retry, "When a receiver that fails is tried again"),
        gw::opt("syslog", &Settings::syslog, "Of messages to a syslog receiver"),
        gw::opt("http", &Settings::http, "Of batches to a URL")};
  }
};

}  // namespace logging
