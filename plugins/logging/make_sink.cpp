#include "make_sink.h"

#include <unistd.h>

#include <algorithm>

#include "http_sink.h"
#include "stream_sink.h"
#include "syslog_sink.h"

namespace logging {
namespace {

constexpr uint64_t min_batch = 1024, max_batch = uint64_t{64} << 20;
constexpr uint64_t max_message = Line::capacity, min_message = 1024;

std::string folder_of(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

void check_file(const std::string& path, gw::setup& setup) {
  const std::string folder = folder_of(path);
  if (::access(folder.c_str(), F_OK) != 0) {
    setup.error("file", "the folder of this file does not exist");
  } else if (::access(path.c_str(), F_OK) == 0 ? ::access(path.c_str(), W_OK) != 0
                                               : ::access(folder.c_str(), W_OK) != 0) {
    setup.error("file", "this file cannot be written");
  }
}

RetryPolicy policy_of(const Retry& retry) { return {retry.first, retry.longest, retry.give_up}; }

void check_syslog(const Syslog& syslog, gw::setup& setup) {
  if (!syslog_word(syslog.app_name, SyslogHeader::max_app_name))
    setup.error("syslog.app_name", "must be 1 to 48 printable characters without blanks");
  if (syslog.max_message &&
      (syslog.max_message->count < min_message || syslog.max_message->count > max_message))
    setup.error("syslog.max_message", "must be from 1KiB to 16KiB");
}

// What Elasticsearch takes as the name of an index, as far as it can be written into JSON as it is.
bool index_name(std::string_view text) {
  return text.size() <= 255 && std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.';
         });
}

bool is_token(std::string_view text) {
  constexpr std::string_view marks = "!#$%&'*+-.^_`|~";
  return !text.empty() && std::all_of(text.begin(), text.end(), [&](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           marks.find(c) != std::string_view::npos;
  });
}

bool is_field_value(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) >= 0x20 && c != 0x7f) || c == '\t';
  });
}

void check_http(const Http& http, Content content, gw::setup& setup) {
  if (http.batch.count < min_batch || http.batch.count > max_batch)
    setup.error("http.batch", "must be from 1KiB to 64MiB");
  if (http.max_answer.count < min_batch || http.max_answer.count > max_batch)
    setup.error("http.max_answer", "must be from 1KiB to 64MiB");
  if (!index_name(http.bulk))
    setup.error("http.bulk", "must be lower-case letters, digits, '-', '_' and '.'");
  if (!http.bulk.empty() && content != Content::json)
    setup.error("http.bulk", "takes records of JSON: 'format: json'");
  for (const auto& [name, value] : http.headers) {
    if (!is_token(name) || !is_field_value(value.reveal()))
      setup.error("http.headers", "'" + name + "' or its value is no header field");
  }
  if (!http.ca.text.empty() && ::access(http.ca.text.c_str(), R_OK) != 0)
    setup.error("http.ca", "this file cannot be read");
}

HttpSettings http_settings(const Settings& settings, const Destination& to, Content content) {
  const Http http = settings.http.value_or(Http{});
  HttpSettings out;
  out.target.url = to.text;
  out.target.content_type = content == Content::json ? "application/x-ndjson" : "text/plain; charset=utf-8";
  for (const auto& [name, value] : http.headers) out.target.fields.push_back(name + ": " + value.reveal());
  out.target.ca = http.ca.text;
  out.target.timeout = settings.timeout;
  out.target.max_answer = http.bulk.empty() ? 0 : http.max_answer.count;
  out.index = http.bulk;
  out.batch = http.batch.count;
  out.flush_interval = http.flush_interval;
  out.retry = policy_of(settings.retry);
  return out;
}

Writer::MakeSink plan_http(const Settings& settings, const Destination& to, Content content, Report& report,
                           gw::setup& setup) {
  if (settings.http) check_http(*settings.http, content, setup);
  std::string error;
  const CurlLibrary* curl = load_curl(error);
  if (curl == nullptr) {
    setup.error("file", "a log over HTTP needs libcurl (Debian: libcurl4): " + error);
    return {};
  }
  return [curl, wanted = http_settings(settings, to, content), &report](Ending& ending) {
    return std::make_unique<HttpSink>(*curl, wanted, report, ending);
  };
}

Writer::MakeSink plan_syslog(const Settings& settings, const Destination& to, Report& report,
                             gw::setup& setup) {
  if (settings.syslog) check_syslog(*settings.syslog, setup);
  return [wanted = SyslogSettings{to, settings.timeout, policy_of(settings.retry)},
          &report](Ending& ending) -> std::unique_ptr<Sink> {
    if (wanted.to.kind == Destination::Kind::syslog_tcp)
      return std::make_unique<StreamSyslogSink>(wanted, report, ending);
    return std::make_unique<DatagramSyslogSink>(wanted, report, ending);
  };
}

}  // namespace

Writer::MakeSink plan_sink(const Settings& settings, const Destination& to, Content content, Report& report,
                           gw::setup& setup) {
  if (settings.retry.longest < settings.retry.first) setup.error("retry.longest", "is shorter than first");
  if (settings.syslog && !to.syslog()) setup.error("syslog", "'file' is no syslog receiver");
  if (settings.http && !to.http()) setup.error("http", "'file' is no URL");
  if (to.http()) return plan_http(settings, to, content, report, setup);
  if (to.syslog()) return plan_syslog(settings, to, report, setup);
  if (to.kind == Destination::Kind::file) check_file(to.path, setup);
  return [to, &report](Ending& ending) { return std::make_unique<StreamSink>(to, report, ending); };
}

}  // namespace logging
