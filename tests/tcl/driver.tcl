# driver.tcl: takes the place of the suite's own test server, so that every test of every file ends as a row.
#
# For each file it starts the suite's client process, and speaks the protocol that such a client expects: a line with a
# length, then a Tcl list {status data elapsed}. Nothing is parsed from what a terminal would show. A file whose script
# dies or hangs is run again without the test that did it, and the rows of its runs are joined.
#
#   tclsh driver.tcl CONFIG          CONFIG is a Tcl dict that `run` wrote; see there for the words.

proc config {key} { dict get $::config $key }

# What is known of the file that a worker runs: file, pid and fd of the client process, test (in hand, or ""), since
# (its start), heard (the last sign), servers (pids), run (1, 2, ...), without (tests left out), note (to be put in
# front of the next failure's message), ending ("" while it runs), seen (name and turn -> status), turns_of (a name), counts.
proc work {worker key args} {
    if {[llength $args]} { dict set ::work($worker) $key [lindex $args 0] }
    dict get $::work($worker) $key
}
proc now {} { clock milliseconds }
proc is_alive {pid} { file isdirectory /proc/$pid }
proc one_line {text limit} {
    regsub -all {[\x00-\x1f\x7f]+} $text " " text
    string range [string trim $text] 0 $limit
}

# ---- rows

# A name may occur several times in a file. Of a second run of the file only rows that the first did not have count.
proc row {worker status name {ms 0} {message ""}} {
    set name [one_line $name 300]
    set turns [work $worker turns_of]
    dict incr turns $name
    work $worker turns_of $turns
    set id [list $name [dict get $turns $name]]
    set seen [work $worker seen]
    if {[dict exists $seen $id]} return
    dict set seen $id $status
    work $worker seen $seen
    count $worker $status
    puts $::results [join [list [work $worker file] $status $ms $name [one_line $message 600]] "\t"]
}
proc count {worker what} {
    set counts [work $worker counts]
    dict incr counts $what
    work $worker counts $counts
}

# ---- starting a file

proc start_next {worker} {
    if {[llength $::together]} {
        set ::together [lassign $::together file]
    } elseif {[llength $::alone] && [array size ::work] == 0} {
        set ::alone [lassign $::alone file]
    } else {
        if {[array size ::work] == 0} { set ::finished 1 }
        return
    }
    set zero [dict create ok 0 err 0 exception 0 timeout 0 skip 0 ignore 0 died 0]
    set ::work($worker) [dict create file $file without {} run 0 began [now] note "" seen {} counts $zero]
    launch $worker
}

proc launch {worker} {
    set file [work $worker file]
    set place [config scratch]/$worker
    foreach {key value} [list run [expr {[work $worker run] + 1}] turns_of {} test "" since 0 servers {} heard [now] \
            killed 0 fd "" ending "" died_of ""] { work $worker $key $value }
    work $worker log $place/log.[string map {/ _} $file].[work $worker run]
    catch {exec rm -rf {*}[glob -nocomplain $place/tests/tmp/*]}
    set extra [config extra]
    foreach test [work $worker without] { lappend extra --skiptest $test }
    set home [pwd]
    cd $place
    # its own time limit would end the run: it is made longer than ours
    set pid [exec setsid env TERM=dumb [info nameofexecutable] tests/test_helper.tcl --durable --clients 1 \
        --timeout [expr {[config silence] + 600}] {*}$extra --client $::port \
        --baseport [expr {[config baseport] + $worker * [config ports]}] --portcount [config ports] \
        </dev/null >[work $worker log] 2>@1 &]
    cd $home
    work $worker pid $pid
    set ::worker_of_pid($pid) $worker
}

# ---- what the client says

proc accept {fd address port} {
    fconfigure $fd -encoding binary
    fileevent $fd readable [list hear $fd]
}

proc hear {fd} {
    if {[catch {gets $fd length}] || $length eq ""} {
        catch {close $fd}
        if {[info exists ::worker_of_fd($fd)]} {
            set worker $::worker_of_fd($fd)
            unset ::worker_of_fd($fd)
            work $worker fd ""
            if {[work $worker ending] eq ""} { work $worker ending gone }
            finish $worker
        }
        return
    }
    lassign [encoding convertfrom utf-8 [read $fd $length]] status data elapsed
    if {$status eq "ready"} {
        if {![info exists ::worker_of_pid($data)]} { close $fd; return }
        set worker $::worker_of_pid($data)
        set ::worker_of_fd($fd) $worker
        work $worker fd $fd
        set task [list run [work $worker file] 0]
        puts $fd [string length $task]
        puts -nonewline $fd $task
        flush $fd
    } else {
        set worker $::worker_of_fd($fd)
        take $worker $status $data $elapsed
    }
    if {[info exists ::work($worker)]} { work $worker heard [now] }
}

proc take {worker status data elapsed} {
    set test [work $worker test]
    switch -- $status {
        testing { work $worker test $data; work $worker since [now] }
        ok { row $worker ok $data $elapsed; work $worker test "" }
        skip { if {$data ni [work $worker without]} { row $worker skip $data } }
        ignore { row $worker ignore $data }
        err {
            set message [work $worker note]
            work $worker note ""
            if {[string match "Can't start *" $data]} {
                row $worker err "(server start)" 0 $message[string range $data [string first "\nERROR:" $data] end]
            } elseif {$test eq ""} {
                row $worker err "(outside tests)" 0 $message$data
            } else {
                # in front of the message the suite says `NAME in FILE`
                if {[string first "$test in tests/" $data] == 0} {
                    set data [string range $data [string length $test] end]
                    regsub {^ in tests/\S+\s*} $data "" data
                }
                row $worker err $test [expr {[now] - [work $worker since]}] $message$data
                work $worker test ""
            }
        }
        exception { work $worker ending exception; work $worker died_of $data }
        done { work $worker ending done; finish $worker }
        server-spawned { work $worker servers [concat [work $worker servers] [lindex $data 0]] }
        server-killed {
            work $worker servers [lsearch -all -inline -not -exact [work $worker servers] [string trim $data]]
        }
        revived { count $worker died }
    }
    if {[info exists ::work($worker)]} { work $worker killed 0 }
}

# ---- the end of a file

proc kill_servers {worker} { foreach pid [work $worker servers] { catch {exec kill -9 $pid} } }

# What has its working directory in a worker's folder was started by it.
proc sweep {worker} {
    set place [config scratch]/$worker
    foreach pid [glob -nocomplain -directory /proc -tails {[0-9]*}] {
        if {[catch {file readlink /proc/$pid/cwd} folder]} continue
        if {$folder eq $place || [string match $place/* $folder]} { catch {exec kill -9 $pid} }
    }
}

proc finish {worker} {
    set fd [work $worker fd]
    if {$fd ne ""} { catch {close $fd}; unset -nocomplain ::worker_of_fd($fd) }
    catch {exec kill -9 -- -[work $worker pid]}
    kill_servers $worker
    sweep $worker
    unset -nocomplain ::worker_of_pid([work $worker pid])

    set ending [work $worker ending]
    if {$ending ne "done"} {
        set message "[work $worker note] [work $worker died_of]"
        if {$ending eq "gone"} {
            set ending exception
            catch {append message "the script died: [exec tail -c 500 [work $worker log]]"}
        }
        set test [work $worker test]
        set spent [expr {[now] - [work $worker began]}]
        if {$test eq ""} {
            row $worker $ending "(outside tests)" 0 $message
        } else {
            row $worker $ending $test [expr {[now] - [work $worker since]}] $message
            if {$test ni [work $worker without] && [work $worker run] < [config attempts]
                    && $spent < [limit_s $worker] * 1000} {
                work $worker without [concat [work $worker without] [list $test]]
                work $worker note ""
                launch $worker
                return
            }
        }
    }
    report $worker $ending
    unset ::work($worker)
    for {set w 0} {$w < [config workers]} {incr w} {
        after idle [list apply {w { if {![info exists ::work($w)]} { start_next $w } }} $w]
    }
}

proc report {worker ending} {
    set file [work $worker file]
    set s [format %.1f [expr {([now] - [work $worker began]) / 1000.0}]]
    dict with ::work($worker) counts {}
    puts $::files [join [list $file $s $ok $err $exception $timeout $skip $ignore [work $worker run] $ending $died] "\t"]
    set line [format "%-40s ok %4d  failed %3d  left out %3d  %6.1f s" $file $ok \
        [expr {$err + $exception + $timeout}] [expr {$skip + $ignore}] $s]
    if {$died} { append line "  server died $died times" }
    if {$ending ne "done"} { append line "  $ending" }
    puts $line
    flush stdout
}

# ---- what the clock does: a file must end, and must give signs until then

proc limit_s {worker} {
    set usual 0
    catch {set usual [dict get [config seconds] [work $worker file]]}
    expr {max([config timeout], 3 * $usual)}
}

proc watch {} {
    after 500 watch
    foreach worker [array names ::work] {
        set silence_s [expr {([now] - [work $worker heard]) / 1000}]
        if {[now] - [work $worker began] > [limit_s $worker] * 1000} {
            work $worker note "the file took over [limit_s $worker] s"
            work $worker ending timeout
            finish $worker
        } elseif {$silence_s > 5 && ![is_alive [work $worker pid]]} {
            if {[work $worker ending] eq ""} { work $worker ending gone }
            finish $worker
        } elseif {$silence_s > [config silence] && ![work $worker killed] && [llength [work $worker servers]]} {
            # The servers first: the test fails with an I/O error, and the file goes on. It has 30 s for that.
            work $worker killed 1
            work $worker note "servers killed after $silence_s s of silence; "
            kill_servers $worker
            work $worker heard [expr {[now] - ([config silence] - 30) * 1000}]
        } elseif {$silence_s > [config silence]} {
            work $worker note "silent for [config silence] s"
            work $worker ending timeout
            finish $worker
        }
    }
}
proc bgerror {message} { puts stderr "driver: $message\n$::errorInfo"; exit 1 }

set file [open [lindex $argv 0]]
set config [dict create {*}[read $file]]
close $file
set results [open [config results] w]
fconfigure $results -buffering line -encoding utf-8
set files [open [config files] w]
fconfigure $files -buffering line
set together [config together]
set alone [config alone]
set began [now]
array set work {}
set listener [socket -server accept -myaddr 127.0.0.1 0]
set port [lindex [fconfigure $listener -sockname] 2]
set finished 0
for {set w 0} {$w < [config workers]} {incr w} { start_next $w }
after 500 watch
if {!$finished} { vwait finished }
puts $files "TOTAL\t[format %.1f [expr {([now] - $began) / 1000.0}]]"
