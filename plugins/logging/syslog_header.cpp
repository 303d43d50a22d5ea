#include "syslog_header.h"

#include <algorithm>

namespace logging {

bool syslog_word(std::string_view text, size_t most) {
  return !text.empty() && text.size() <= most &&
         std::all_of(text.begin(), text.end(), [](char c) { return c > 0x20 && c < 0x7f; });
}

SyslogHeader::SyslogHeader(Facility facility, std::string_view app_name, std::string_view host_name,
                           pid_t pid) {
  for (size_t severity = 0; severity < begin_.size(); ++severity)
    begin_[severity] = "<" + std::to_string(static_cast<size_t>(facility) * 8 + severity) + ">1 ";
  for (const std::string_view word : {syslog_word(host_name, max_host_name) ? host_name : "-", app_name}) {
    end_ += ' ';
    end_ += word;
  }
  end_ += " " + std::to_string(pid) + " access - ";
}

void SyslogHeader::begin(Line& out, uint16_t status, int64_t wall_ns, SecondText& time) const {
  const Severity severity = status >= 500 || status == 0 ? error : status >= 400 ? notice : informational;
  out.raw(begin_[severity]);
  time.iso(out, wall_ns);
  out.raw(end_);
}

}  // namespace logging
