// What goes wrong from outside: a file, a model or an argument. One line for people.
#pragma once

#include <stdexcept>

namespace spoof {

class Error : public std::runtime_error {
  using std::runtime_error::runtime_error;
};

}  // namespace spoof
