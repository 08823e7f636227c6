# inject.tcl: bounds the suite's waits for a server that is dead, and starts it again. It changes no test.
#
# `run` has it sourced at the end of its copy of tests/support/util.tcl. It wraps four procedures of the suite:
#
#   wait_server_started, count_message_lines   a server has 30 s to say its pid, and 30 s to say that it is ready
#   resume_process                             what no test stopped needs no resuming
#   test (twice)                               only the tests that were asked for (WATERWHEEL_ONLY), and a server that
#                                              died is there again before the next test (WATERWHEEL_REVIVE)

# The suite's background writers source util.tcl too, without the rest: nothing to do there.
if {[info procs start_server] eq "" || [info procs test] eq "" || [info exists ::ww_limit_ms]} return

set ::ww_limit_ms 30000
proc ww_is_alive {pid} { file isdirectory /proc/$pid }

# ---- the first wait of a start: for the line with the pid (120 s in the suite, also when the process is gone)
# Answers 1 if the port was taken, which makes the suite try another one.
proc wait_server_started {config_file stdout pid} {
    set began [clock milliseconds]
    while 1 {
        set gone [expr {![ww_is_alive $pid]}]
        set log [exec cat $stdout]
        if {[regexp " PID: $pid.*Server initialized" $log]} { return 0 }
        if {[string match "*Failed listening on port*" $log]} { return 1 }
        if {$gone || [clock milliseconds] - $began > $::ww_limit_ms} {
            set why [expr {$gone ? "process $pid ended" : "after 30 s"}]
            start_server_error $config_file "no line with PID: $pid in the log, $why: [string range $log end-600 end]"
            return 0
        }
        after 50
    }
}

# ---- the second wait: start_server and restart_server count `Ready to accept` in the log, without an end
rename count_message_lines ww_count_message_lines
array set ::ww_wait {} ;# log file -> count, start of the wait, last look, looks
proc count_message_lines {file pattern} {
    set count [ww_count_message_lines $file $pattern]
    set caller ""
    catch {set caller [lindex [info level -1] 0]}
    if {$pattern ne "Ready to accept" || $caller ni {start_server restart_server}} { return $count }
    set now [clock milliseconds]
    # another count, or a pause between two looks, is another wait
    set wait [list $count $now $now 0]
    if {[info exists ::ww_wait($file)]} {
        lassign $::ww_wait($file) last_count began last_look looks
        if {$last_count == $count && $now - $last_look <= 500} { set wait [list $count $began $now [incr looks]] }
    }
    set ::ww_wait($file) $wait
    lassign $wait count began now looks
    if {$looks < 50} { return $count }
    set server [lindex $::servers end]
    set ours [expr {[dict exists $server stdout] && [dict get $server stdout] eq $file && [dict exists $server pid]}]
    set limit_ms [expr {$ours && ![ww_is_alive [dict get $server pid]] ? 2000 : $::ww_limit_ms}]
    if {$now - $began <= $limit_ms} { return $count }
    unset ::ww_wait($file)
    if {$ours && $caller eq "start_server"} {
        catch {exec kill -9 [dict get $server pid]}
        set ::servers [lrange $::servers 0 end-1]
    }
    error "the server never said 'Ready to accept' ($file)"
}

# ---- the wait for a process to be stopped, before it is resumed (50 s)
# Some files stop a server in a test and resume it after the test: if that test failed early or was left out, there is
# nothing to wait for.
rename resume_process ww_resume_process
proc resume_process {pid} {
    if {$::cur_test eq "" && ![string match "T*" [exec ps -o state= -p $pid]]} return
    tailcall ww_resume_process $pid
}

# ---- a server that died in one test is started again before the next
# Its data is gone, so a test that builds on the last one may fail all the same; but a crash costs one test and not all
# that follow in its block.
set ::ww_revived 0
proc ww_revive {} {
    for {set i 0} {$i < [llength $::servers]} {incr i} {
        set server [lindex $::servers $i]
        if {![dict exists $server pid] || ![dict exists $server client] || [ww_is_alive [dict get $server pid]]} continue
        if {[incr ::ww_revived] > 40} return
        send_data_packet $::test_server_fd revived ""
        catch {exec tail -n 60 [dict get $server stdout] >@ stdout}
        catch {exec tail -n 60 [dict get $server stderr] >@ stdout}
        set pid [spawn_server [dict get $server config_file] [dict get $server stdout] [dict get $server stderr] {}]
        server_is_up [dict get $server host] [dict get $server port] 100
        dict set server pid $pid
        lset ::servers $i $server
        set client [dict get $server client]
        catch {$client ping} ;# finds that the old connection is gone
        catch {$client ping} ;# connects again
        if {!$::singledb} { catch {$client select 9} }
    }
}
if {$::env(WATERWHEEL_REVIVE)} {
    rename test ww_test
    proc test {name args} {
        if {[catch ww_revive problem]} { puts "could not start the server again: $problem" }
        tailcall ww_test $name {*}$args
    }
}

# ---- only the tests of a table: file TAB test
if {$::env(WATERWHEEL_ONLY) ne ""} {
    set ww_file [open $::env(WATERWHEEL_ONLY)]
    fconfigure $ww_file -encoding utf-8
    foreach ww_row [split [read $ww_file] "\n"] { set ::ww_wanted($ww_row) 1 }
    close $ww_file
    rename test ww_wanted_test
    proc test {name args} {
        # names stand in the table as driver.tcl writes them
        regsub -all {[\x00-\x1f\x7f]+} $name " " shown
        set shown [string range [string trim $shown] 0 300]
        regexp {^tests/(.*)\.tcl$} $::curfile - file
        if {[info exists ::ww_wanted($file\t$shown)]} { tailcall ww_wanted_test $name {*}$args }
        incr ::num_skipped
        send_data_packet $::test_server_fd skip $name
    }
}
