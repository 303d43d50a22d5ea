// A child process whose output is read line by line, and programs that are run to their end. A child dies
// with its object; nothing is left running when a test fails.
#pragma once
#include <sys/types.h>

#include <map>
#include <string>
#include <vector>

namespace e2e {

class Process {
 public:
  enum class Read { standard_output, standard_error };
  Process(std::vector<std::string> command, Read what, std::map<std::string, std::string> environment = {});
  ~Process();
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  // The next line that contains `text`, counted from the last one returned; throws a Failure with all that
  // was said when it does not come.
  std::string wait_for_line(const std::string& text);
  void signal(int number) const;
  // Back when all its threads stand: kill() alone returns before they do.
  void pause();
  void resume() const;
  // Reads to the end; the exit code, or 128 + the signal's number.
  int wait();
  bool running();
  pid_t pid() const { return pid_; }
  // All that was read so far.
  const std::string& output() const { return output_; }
  // Reads what is there already, without waiting.
  void poll_output();

 private:
  bool read_more(int timeout_ms);
  pid_t pid_ = -1;
  int descriptor_ = -1;
  std::string output_;
  size_t seen_ = 0;
  int exit_code_ = -1;
};

struct Ran {
  int exit_code;
  std::string out, err;
};
// To the end, or a Failure.
Ran run(const std::vector<std::string>& command);

}  // namespace e2e
