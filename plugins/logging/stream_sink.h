// Files, pipes and terminals: lines go out as they stand in the ring, up to 256 KiB in one write.
#pragma once
#include <string>

#include "destination.h"
#include "sink.h"

namespace logging {

class StreamSink final : public Sink {
 public:
  StreamSink(Destination destination, Report& report, const Ending& ending);
  ~StreamSink() override;
  StreamSink(const StreamSink&) = delete;
  StreamSink& operator=(const StreamSink&) = delete;

  void open() override;
  void take(Ring::Span lines) override;
  void reopen() override;  // log rotation; without a new file the old one goes on

 private:
  int open_file(std::string& error) const;
  bool wait_writable() const;
  void give_up(Ring::Span rest);

  const Destination destination_;
  Report& report_;
  const Ending& ending_;
  int fd_ = -1;
  bool torn_line_ = false;  // the last write ended inside a line
  bool failing_ = false;    // said so already
};

}  // namespace logging
