package Test::Gray;

# Copyright (C) the nginx gray module authors
#
# Runs an nginx of its own for one test.
#
#     my $t = Test::Gray->new->config(<<'END')->start;
#     http {
#         server { listen 127.0.0.1:%%PORT%%; return 200 "hello"; }
#     }
#     END
#
#     is($t->get('/')->{body}, 'hello', 'greeting');
#     $t->done;
#
# In a configuration, %%DIR%% is the test's own directory, %%PORT%% and
# %%PORT_name%% are free ports.  Main directives and temporary paths that the
# text does not give are added.  done() stops everything and fails where
# nginx left an alert, a sanitizer report of ours or a process behind.
#
# Environment: TEST_NGINX_BINARY, TEST_NGINX_MODULE (empty: compiled in),
# TEST_NGINX_GLOBALS (the top of each nginx.conf), TEST_NGINX_WRAPPER (a
# command before nginx), TEST_SANITIZER_LOG (files that begin so get copies of
# the sanitizers' reports), TEST_FAILPOINTS (1: see Test::Gray::Fault),
# TEST_VERBOSE, TEST_TIME_LIMIT (seconds for a file).
#
# A test that is to be skipped says so before new().

use strict;
use warnings;

use Cwd            ();
use File::Basename ();
use File::Spec     ();
use File::Temp     ();
use IO::Socket::INET;
use POSIX          ();
use Test::More     ();

use Test::Gray::HTTP;
use Test::Gray::Log;
use Test::Gray::Process;

my $root   = Cwd::abs_path(File::Basename::dirname(__FILE__) . '/../../..');
my $binary = $ENV{TEST_NGINX_BINARY} || 'nginx';
my @wrap   = split ' ', $ENV{TEST_NGINX_WRAPPER} || '';
my $scale  = $Test::Gray::Process::scale;
my $limit  = $ENV{TEST_TIME_LIMIT} || 120 * $scale;
my $owner  = $$;

my @instances;

# where a sanitizer or valgrind names a function or a file of ours

my $frame = qr/
      ^\s*\#\d+\s+0x[0-9a-f]+\s+in\s+ngx_http_gray
    | ngx_http_gray\w*\.[ch]:\d+:\d+:\s+runtime\s+error
    | ^==\d+==\s+(?:at|by)\s+0x[0-9A-F]+:\s+ngx_http_gray
/mx;

# nginx executes itself again for an upgrade, by the path that it was given

if ($binary =~ m{/}) {
    $binary = File::Spec->rel2abs($binary);

} else {
    my ($found) = grep { -x } map { "$_/$binary" }
                  File::Spec->path, '/usr/local/sbin', '/usr/sbin';

    $binary = $found if $found;
}

$SIG{PIPE} = 'IGNORE';
$SIG{$_} = sub { exit(130) } for qw(INT TERM HUP);
$SIG{ALRM} = sub {
    Test::More::diag("the time limit of $limit seconds is over");
    exit(124);
};

alarm($limit);


# -- life of a test

sub new {
    my ($class, %option) = @_;

    my $keep = $ENV{TEST_VERBOSE} ? 1 : 0;
    my $dir = File::Temp::tempdir('gray-XXXXXXXX', TMPDIR => 1,
                                  CLEANUP => !$keep);

    my $self = bless {
        dir      => Cwd::abs_path($dir),
        daemon   => 'off',
        level    => $keep ? 'debug' : 'info',
        module   => module(),
        ports    => {},
        children => {},
        expected => [],
        problems => [],
        %option,
    }, $class;

    $self->{log} = Test::Gray::Log->new("$self->{dir}/error.log");

    # the unprivileged worker passes through, and writes sanitizer logs

    chmod 0755, $self->{dir};
    mkdir "$self->{dir}/sanitizer";
    chmod 0777, "$self->{dir}/sanitizer";

    # what the worker reads there, it also marks as done

    if ($ENV{TEST_FAILPOINTS}) {
        mkdir "$self->{dir}/failpoints";
        chmod 0777, "$self->{dir}/failpoints";
    }

    Test::More::diag("directory $self->{dir}") if $keep;

    push @instances, $self;
    return $self;
}


sub done {
    my @problems = problems();

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    Test::More::diag($_) for @problems;
    Test::More::ok(!@problems, 'nothing is left behind');
    Test::More::done_testing();
}


# the same for what is no test: ends all, and returns what was wrong

sub problems { return map { $_->finish } splice @instances }


sub finish {
    my ($self) = @_;

    $self->stop;
    $self->reap($_) for keys %{ $self->{children} };

    my @problems = @{ $self->{problems} };

    push @problems, $self->{log}->problems(@{ $self->{expected} }),
                     $self->sanitizer_problems;

    my @left = grep { !wait_until(sub { !alive($_) }) } $self->processes;

    for my $pid (@left) {
        push @problems, "process $pid is left: " . command_line($pid);
        kill 'KILL', $pid;
    }

    $self->dump if @problems || !Test::More->builder->is_passing;

    return @problems;
}


END {
    if ($$ == $owner) {
        my $status = $?;

        alarm(60 * $scale);
        local $SIG{ALRM} = sub { POSIX::_exit(125) };

        # done() was not reached

        if (@instances) {
            $status ||= 1;
            Test::More->builder->is_passing(0);
            Test::More::diag($_) for problems();
        }

        $? = $status;
    }
}


# -- places

sub dir { return $_[0]{dir} }


# the file that arms failpoints, see Test::Gray::Fault

sub failpoints { return "$_[0]{dir}/failpoints/armed" }


sub port {
    my ($self, $name) = @_;

    $name = '' unless defined $name;

    # bound and not listening: nobody else is given this port

    $self->{ports}{$name} ||= IO::Socket::INET->new(
        Proto     => 'tcp',
        LocalAddr => '127.0.0.1',
        LocalPort => 0,
        ReuseAddr => 1
    ) or die "no free port: $!\n";

    return $self->{ports}{$name}->sockport;
}


sub expand {
    my ($self, $text) = @_;

    $text =~ s/%%DIR%%/$self->{dir}/g;
    $text =~ s/%%PORT(?:_(\w+?))?%%/$self->port($1)/ge;

    return $text;
}


sub write_file {
    my ($self, $name, $content) = @_;

    open my $fh, '>:raw', "$self->{dir}/$name" or die "$name: $!\n";
    print $fh $content;
    close $fh or die "$name: $!\n";

    return "$self->{dir}/$name";
}


sub read_file {
    my ($self, $name) = @_;

    return slurp("$self->{dir}/$name");
}


# -- the binary

sub module {
    return $ENV{TEST_NGINX_MODULE} if defined $ENV{TEST_NGINX_MODULE};
    return "$root/build/" . version() . '/ngx_http_gray_module.so';
}


my $banner;

sub banner {
    $banner ||= (capture($binary, '-V'))[2];
    return $banner;
}


sub version {
    banner() =~ m{nginx version: \w+/([\d.]+)} or die "cannot run $binary\n";
    return $1;
}


sub version_at_least {
    my ($self, $wanted) = @_;

    my ($have, $want) = map { sprintf '%d%03d%03d', split /\./ }
                        $self->version, $wanted;

    return $have >= $want;
}


sub has {
    my ($self, $word) = @_;

    return index(banner(), $word) >= 0;
}


# the modules of the packages, where nginx is that of the package

sub lua {
    my ($path) = banner() =~ m{--modules-path=(\S+)};
    my @modules = map { "$path/${_}_module.so" }
                  qw(ndk_http ngx_http_lua) if defined $path;

    return if module() eq '' || !@modules || grep { !-e } @modules;

    return @modules;
}


# -- configuration

sub config {
    my ($self, $text) = @_;

    $self->{text} = $text;
    $self->write_file('nginx.conf', $self->complete($text, ''));

    return $self;
}


sub complete {
    my ($self, $text, $prefix) = @_;

    my $dir = $self->{dir};
    my $log = "$dir/${prefix}error.log";
    my ($head) = $text =~ /\A(.*?)(?:^\s*http\s*\{|\z)/ms;
    my $main = ($ENV{TEST_NGINX_GLOBALS} || '') . "\n";

    $main .= "load_module $self->{module};\n" if $self->{module} ne '';

    my @defaults = (
        [ 'daemon', "$self->{daemon};" ],
        [ 'worker_processes', '1;' ],
        [ 'user', $> == 0 ? unprivileged() : undef ],
        [ 'pid', "$dir/${prefix}nginx.pid;" ],
        [ 'error_log', "$log $self->{level};" ],
        [ 'events', '{ }' ],
    );

    for (@defaults) {
        my ($name, $value) = @$_;

        $main .= "$name $value\n"
            if defined $value && $head !~ /^\s*$name\s/m;
    }

    my $http = join '', map { "    ${_}_temp_path $dir/${_}_temp;\n" }
        grep { $text !~ /^\s*${_}_temp_path\s/m }
        qw(client_body proxy fastcgi uwsgi scgi);

    $http .= "    access_log off;\n" unless $text =~ /^\s*access_log\s/m;

    $text =~ s/^(\s*http\s*\{)/$1\n$http/m;

    return $self->expand($main . $text);
}


sub unprivileged {
    my $name = 'nobody';
    my $group = getgrgid((getpwnam($name))[3]);

    return "$name $group;";
}


# runs nginx -t on a text; returns the exit status and what it said

sub test_config {
    my ($self, $text) = @_;

    my $file = $self->write_file('test-nginx.conf',
                                 $self->complete($text, 'test-'));

    my @command = $self->command('-t', '-c', $file);
    my ($status, undef, $said) = $self->inside(sub { capture(@command) });

    return ($status, $said);
}


sub command {
    my ($self, @arguments) = @_;

    my @prefix = @wrap;
    my $reports = $ENV{TEST_SANITIZER_LOG};

    # reports are kept apart from those of other tests

    if ($reports) {
        s{\Q$reports\E}{$self->{dir}/sanitizer/log} for @prefix;
    }

    my $log = grep({ $_ eq '-t' } @arguments) ? 'test-error.log'
                                              : 'error.log';

    return (@prefix, $binary, '-p', $self->{dir}, '-e',
            "$self->{dir}/$log", @arguments);
}


sub inside {
    my ($self, $code) = @_;

    my $reports = "$self->{dir}/sanitizer/log";

    # later flags win

    local $ENV{ASAN_OPTIONS} = join ':', grep { defined && length }
        $ENV{ASAN_OPTIONS}, "log_path=$reports";
    local $ENV{UBSAN_OPTIONS} = join ':', grep { defined && length }
        $ENV{UBSAN_OPTIONS}, "log_path=$reports";
    local $ENV{TEST_SANITIZER_LOG} = $reports;
    local $ENV{GRAY_FAILPOINTS} = $self->failpoints;

    return $code->();
}


# -- nginx as a process

sub start {
    my ($self) = @_;

    die "$self->{module} does not exist: make build\n"
        if $self->{module} ne '' && !-e $self->{module};

    my $mark = $self->{log}->mark;

    unlink "$self->{dir}/nginx.pid";

    my @command = $self->command('-c', "$self->{dir}/nginx.conf");
    my $pid = $self->inside(sub { $self->spawn(@command) });

    my $running = wait_until(sub {
        return 1 if $self->{log}->started($mark) >= $self->worker_processes
                    && -s "$self->{dir}/nginx.pid";
        return $self->{daemon} eq 'off' && !alive($pid);
    });

    if (!$running || ($self->{daemon} eq 'off' && !alive($pid))) {
        die "nginx has not started\n" . $self->read_file("stderr.$pid")
            . tail($self->log, 20);
    }

    ($self->{master}) = $self->read_file('nginx.pid') =~ /(\d+)/;

    if ($self->{daemon} ne 'off') {
        waitpid $pid, 0;
        delete $self->{children}{$pid};
    }

    return $self;
}


# asks nginx to end, with QUIT if nothing else is said; what does not end
# in time is killed and is a failure

sub stop {
    my ($self, $signal) = @_;

    my $master = delete $self->{master} or return;

    kill $signal || 'QUIT', $master;

    if (!wait_until(sub { !alive($master) }, 10 * $scale)) {
        push @{ $self->{problems} },
             'nginx has not ended on ' . ($signal || 'QUIT');

        kill 'TERM', $master;

        if (!wait_until(sub { !alive($master) }, 5 * $scale)) {
            kill 'KILL', $master, children_of($master);
            wait_until(sub { !alive($master) });
        }
    }

    if ($self->{children}{$master}) {
        my $status = $self->reap($master);

        push @{ $self->{problems} }, "nginx has ended with status $status"
            if $status != 0;
    }

    return;
}


# loads the configuration again; returns when new workers serve and no old
# one accepts any more.
#
#     gone    => 1      also wait until the old workers have ended
#     refused => regex  the configuration must be refused with this message

sub reload {
    my ($self, %option) = @_;

    my @old = $self->workers;
    my $mark = $self->{log}->mark;
    my $refused;

    push @{ $self->{expected} }, $option{refused} if $option{refused};

    kill 'HUP', $self->{master} or die "no master: $!\n";

    wait_until(sub {
        $refused = $self->{log}->refusal($mark, $self->{master});

        return defined $refused
               || $self->{log}->started($mark) >= $self->worker_processes;
    })
    or die "nginx has not reloaded\n" . tail($self->log, 20);

    if ($option{refused}) {
        return defined $refused && $refused =~ $option{refused};
    }

    return 0 if defined $refused;

    for my $pid (@old) {
        wait_until(sub {
            return !alive($pid)
                   || !$option{gone} && $self->{log}->quitting($pid);
        })
        or die "old worker $pid has not ended\n" . tail($self->log, 20);
    }

    return 1;
}


# USR2: starts the new binary beside the old one and returns the old master,
# which is to be told to quit; needs daemon => 'on'

sub upgrade {
    my ($self) = @_;

    my $old = $self->{master};
    my $mark = $self->{log}->mark;

    kill 'USR2', $old;

    wait_until(sub {
        return $self->{log}->started($mark) >= $self->worker_processes
               && ($self->read_file('nginx.pid') || $old) != $old;
    })
    or die "nginx was not upgraded\n" . tail($self->log, 20);

    ($self->{master}) = $self->read_file('nginx.pid') =~ /(\d+)/;

    return $old;
}


sub master { return $_[0]{master} }


# the workers that accept connections

sub workers {
    my ($self) = @_;

    my %child = map { $_ => 1 } children_of($self->{master});

    my @workers = sort { $a <=> $b }
                  grep { $child{$_} } $self->{log}->workers;

    return @workers;
}


# kills one worker and waits for its replacement; returns the dead one's pid

sub kill_worker {
    my ($self, $signal, $pid) = @_;

    $signal ||= 'KILL';
    ($pid) = $self->workers unless defined $pid;

    my $mark = $self->{log}->mark;

    push @{ $self->{expected} }, qr/worker process $pid exited on signal/;

    kill $signal, $pid;
    wait_until(sub { !alive($pid) && $self->{log}->started($mark) })
        or die "worker $pid was not replaced\n";

    return $pid;
}


# SIGKILL to the master and all workers, as if the machine had stopped

sub crash {
    my ($self) = @_;

    my $master = delete $self->{master} or return;

    # the master last: a stopped process that loses its parent goes on

    my @pids = (children_of($master), $master);

    kill 'STOP', $master;
    kill 'KILL', @pids;
    $self->reap($master, 'KILL') if $self->{children}{$master};

    for my $pid (@pids) {
        wait_until(sub { !alive($pid) }) or die "process $pid is left\n";
    }

    return;
}


sub worker_processes {
    my ($self) = @_;

    return $self->{text} =~ /^\s*worker_processes\s+(\d+)/m ? $1 : 1;
}


# -- other processes

# runs a program in the test's directory

sub spawn {
    my ($self, @command) = @_;

    return $self->child(sub {
        open STDIN, '<', '/dev/null';
        open STDOUT, '>', "$self->{dir}/stderr.$$";
        open STDERR, '>&', \*STDOUT;
        exec { $command[0] } @command or warn "$command[0]: $!\n";
    });
}


# a backend in Perl: the code gets a socket that listens on the named port

sub daemon {
    my ($self, $name, $code) = @_;

    $self->port($name);

    my $socket = $self->{ports}{$name};

    listen($socket, 511) or die "listen: $!\n";

    return $self->child(sub { $code->($socket) });
}


# waits until something accepts on the named port

sub wait_port {
    my ($self, $name) = @_;

    my $port = $self->port($name);

    wait_until(sub {
        return IO::Socket::INET->new("127.0.0.1:$port");
    })
    or die "nothing listens on port \"$name\"\n";

    return;
}


sub child {
    my ($self, $code) = @_;

    my $pid = fork();
    die "fork: $!\n" unless defined $pid;

    if ($pid == 0) {
        setpgrp;
        chdir $self->{dir};
        $SIG{$_} = 'DEFAULT' for qw(INT TERM HUP ALRM PIPE);
        alarm($limit);
        eval { $code->(); 1 } or warn $@;
        POSIX::_exit(1);
    }

    $self->{children}{$pid} = 1;
    return $pid;
}


# ends a child with its group; returns its exit status

sub reap {
    my ($self, $pid, $signal) = @_;

    return unless delete $self->{children}{$pid};

    my $done;
    my $waited = sub { $done ||= waitpid($pid, POSIX::WNOHANG()) };

    if (!$waited->()) {
        kill $signal || 'TERM', -$pid, $pid;

        if (!wait_until($waited, 5)) {
            kill 'KILL', -$pid, $pid;
            wait_until($waited, 5);
        }
    }

    return $?;
}


# every process that was started here has the test's directory as its own

sub processes {
    my ($self) = @_;

    return grep {
        my $cwd = readlink "/proc/$_/cwd";
        defined $cwd && $cwd eq $self->{dir} && $_ != $$ && alive($_);
    } pids();
}


# -- the error log

sub log { return $_[0]{log}->text }


# an alert that this test provokes

sub expect {
    my ($self, @regexes) = @_;

    push @{ $self->{expected} }, @regexes;

    return $self;
}


# waits for a line behind the one that was waited for last

sub wait_log {
    my ($self, $regex) = @_;

    return $self->{log}->wait($regex);
}


sub sanitizer_problems {
    my ($self) = @_;

    my @problems;
    my @logs = glob "$self->{dir}/sanitizer/*";

    for my $file (@logs, glob("$self->{dir}/stderr.*"),
                  "$self->{dir}/error.log", "$self->{dir}/test-error.log")
    {
        my $text = slurp($file);

        push @problems, "sanitizer report in $file:\n" . tail($text, 60)
            if $text =~ $frame;
    }

    if ($ENV{TEST_SANITIZER_LOG}) {
        my $name = File::Basename::basename($0);

        for my $file (grep { -s } @logs) {
            my ($pid) = $file =~ /(\d+)$/;

            open my $fh, '>', join '.', $ENV{TEST_SANITIZER_LOG}, $name,
                                        $pid || 0
                or die "$ENV{TEST_SANITIZER_LOG}: $!\n";
            print $fh slurp($file);
            close $fh;
        }
    }

    return @problems;
}


sub dump {
    my ($self) = @_;

    my $log = join '', grep { !/ \[debug\] / } split /^/, $self->log;

    Test::More::diag("error log:\n" . tail($log, 40));

    for my $file (glob "$self->{dir}/stderr.*") {
        my $text = tail(slurp($file), 20);
        Test::More::diag("$file:\n$text") if length $text;
    }

    return;
}


# -- clients

sub http {
    my ($self, $name, %option) = @_;

    return Test::Gray::HTTP->new(port => $self->port($name),
                                 timeout => 10 * $scale, %option);
}


sub get     { my $self = shift; return $self->http->get(@_) }
sub request { my $self = shift; return $self->http->request(@_) }
sub raw     { my $self = shift; return $self->http->raw(@_) }
sub many    { my $self = shift; return $self->http->many(@_) }
sub api     { my $self = shift; return $self->http->api(@_) }
sub insist  { my $self = shift; return $self->http->insist(@_) }


# a kept connection to each worker, by its process id, see Test::Gray::HTTP

sub each_worker {
    my ($self, $path) = @_;

    return $self->http->each_worker($self->worker_processes, $path);
}


1;
