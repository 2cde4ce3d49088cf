# The target sndfile: libsndfile, which Python reads audio with too. Set SNDFILE_LIBRARY to take a
# certain one, such as the library in the soundfile wheel of the architecture.
find_path(SNDFILE_INCLUDE sndfile.h HINTS /usr/include NO_CMAKE_FIND_ROOT_PATH)
find_library(SNDFILE_LIBRARY sndfile)
if(NOT SNDFILE_INCLUDE OR NOT SNDFILE_LIBRARY)
  message(FATAL_ERROR "libsndfile is missing: apt-get install libsndfile1-dev")
endif()

# The header lies beside the host's other headers, which are none of a cross-compiler's.
set(_sndfile_headers ${CMAKE_BINARY_DIR}/sndfile/include)
configure_file(${SNDFILE_INCLUDE}/sndfile.h ${_sndfile_headers}/sndfile.h COPYONLY)

add_library(sndfile SHARED IMPORTED)
target_include_directories(sndfile SYSTEM INTERFACE ${_sndfile_headers})
if(SNDFILE_LIBRARY MATCHES "libsndfile[.]so")
  set_target_properties(sndfile PROPERTIES IMPORTED_LOCATION ${SNDFILE_LIBRARY})
else()
  # The wheel renames its file; at run time it is looked for by its own name, libsndfile.so.1.
  set(_sndfile ${CMAKE_BINARY_DIR}/sndfile/libsndfile.so.1)
  file(CREATE_LINK ${SNDFILE_LIBRARY} ${_sndfile} SYMBOLIC)
  set_target_properties(sndfile PROPERTIES IMPORTED_LOCATION ${_sndfile})
endif()
