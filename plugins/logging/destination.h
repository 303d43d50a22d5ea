// Where lines go: what `file:` of the configuration says. Pure; no file and no socket is touched.
#pragma once
#include <optional>
#include <string>
#include <string_view>

namespace logging {

struct Destination {
  enum class Kind { file, standard_output, standard_error, syslog_unix, syslog_udp, syslog_tcp, http };
  Kind kind = Kind::file;
  std::string text;        // as it was written, for messages
  std::string path;        // of a file or a unix socket
  std::string host, port;  // of a syslog receiver; an IPv6 address without brackets

  bool stream() const {
    return kind == Kind::file || kind == Kind::standard_output || kind == Kind::standard_error;
  }
  bool syslog() const {
    return kind == Kind::syslog_unix || kind == Kind::syslog_udp || kind == Kind::syslog_tcp;
  }
  bool http() const { return kind == Kind::http; }
};

// Nothing, and in `error` what is wrong.
std::optional<Destination> parse_destination(std::string_view text, std::string& error);

}  // namespace logging
