// What stands before the text of a syslog message (RFC 5424, section 6.2): made by the worker at the
// beginning of its line, since it knows the status. Immutable after configure.
#pragma once
#include <sys/types.h>

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "line.h"

namespace logging {

enum class Facility {
  kern,
  user,
  mail,
  daemon,
  auth,
  syslog,
  lpr,
  news,
  uucp,
  cron,
  authpriv,
  ftp,
  ntp,
  audit,
  alert,
  clock,
  local0,
  local1,
  local2,
  local3,
  local4,
  local5,
  local6,
  local7
};
inline constexpr std::array<std::string_view, 24> facility_names{
    "kern",   "user",   "mail",     "daemon", "auth",   "syslog", "lpr",    "news",
    "uucp",   "cron",   "authpriv", "ftp",    "ntp",    "audit",  "alert",  "clock",
    "local0", "local1", "local2",   "local3", "local4", "local5", "local6", "local7"};
inline constexpr auto gw_names(Facility) { return facility_names; }

// Whether a text may be a field of the header: 1 to `most` printable ASCII characters without blanks.
bool syslog_word(std::string_view text, size_t most);

class SyslogHeader {
 public:
  static constexpr size_t max_app_name = 48, max_host_name = 255;
  // The longest header and what separates it from the text.
  static constexpr size_t max_size = 5 + 2 + SecondText::iso_size + max_host_name + max_app_name + 32;

  // A host name that is none is left out ("-"), as is one that is not known.
  SyslogHeader(Facility facility, std::string_view app_name, std::string_view host_name, pid_t pid);

  // status 500 and more, or none: error; 400 and more: notice; else informational.
  void begin(Line& out, uint16_t status, int64_t wall_ns, SecondText& time) const;

 private:
  enum Severity : uint8_t { error = 3, notice = 5, informational = 6 };
  std::array<std::string, 8> begin_;  // by severity: "<134>1 "
  std::string end_;                   // behind the time: " host penstock 4711 access - "
};

}  // namespace logging
