package Bench::Nginx;

# Copyright (C) the nginx gray module authors
#
#     my $nginx = Bench::Nginx->new($dir, $ports, $text, modules => [...]);
#
#     $nginx->start('valgrind', '--tool=callgrind');
#     $nginx->stop;
#
# An nginx with a directory below $dir.  In its configuration %%DIR%% is that
# directory, and %%PORT%% and %%PORT_name%% are free ports: its own and those
# of $ports, which are shared.  It is one process, unless "master" is given,
# and then one worker, unless "workers" says how many.

use strict;
use warnings;

use Exporter ();
use File::Temp ();
use IO::Socket::INET;
use POSIX ();

use Test::Gray::Process;

our @ISA = ('Exporter');
our @EXPORT = qw(port);

my $binary = $ENV{TEST_NGINX_BINARY} || 'nginx';
my $owner = $$;

my %running;


# bound and not listening: nobody else is given this port

sub port {
    return IO::Socket::INET->new(
        Proto     => 'tcp',
        LocalAddr => '127.0.0.1',
        LocalPort => 0,
        ReuseAddr => 1
    ) || die "no free port: $!\n";
}


sub new {
    my ($class, $dir, $ports, $text, %option) = @_;

    my $self = bless {
        dir     => File::Temp::tempdir('nginx-XXXXXX', DIR => $dir),
        ports   => { '' => port(), %$ports },
        modules => [],
        master  => 0,
        workers => 1,
        %option
    }, $class;

    $text =~ s/%%DIR%%/$self->{dir}/g;
    $text =~ s/%%PORT(?:_(\w+?))?%%/$self->port_of($1)/ge;

    my $master = $self->{master} ? 'on' : 'off';

    my $head = join '', map { "load_module $_;\n" } @{ $self->{modules} };

    $head .= "user root;\n" if $> == 0;
    $head .= <<"END";
daemon off;
master_process $master;
worker_processes $self->{workers};
pid $self->{dir}/pid;
error_log $self->{dir}/error.log notice;

events {
    worker_connections 1024;
}

END

    my $temp = join '', map { "    ${_}_temp_path $self->{dir}/$_;\n" }
                            qw(client_body proxy fastcgi uwsgi scgi);

    $text =~ s/^http \{\n/http {\n$temp\n/m;

    $self->write('nginx.conf', $head . $text);
    $self->write(@{ $self->{file} }) if $self->{file};

    return $self;
}


sub write {
    my ($self, $name, $text) = @_;

    open my $fh, '>', "$self->{dir}/$name" or die "$self->{dir}/$name: $!\n";
    print {$fh} $text;
    close $fh or die "$self->{dir}/$name: $!\n";
}


sub port_of {
    my ($self, $name) = @_;

    return $self->{ports}{ defined $name ? $name : '' }->sockport;
}


sub command {
    my ($self) = @_;

    return ($binary, '-p', "$self->{dir}/", '-c', "$self->{dir}/nginx.conf",
            '-e', "$self->{dir}/error.log");
}


# why the configuration is refused, or nothing

sub refused {
    my ($self) = @_;

    my ($status, $out, $err) = capture($self->command, '-t');

    return unless $status;

    my ($why) = "$out$err" =~ /\[emerg\] (?:\d+#\d+: )?(.*)/;

    return defined $why ? $why : "nginx -t: $out$err";
}


sub start {
    my ($self, @wrapper) = @_;

    my $pid = fork();
    die "fork: $!\n" unless defined $pid;

    if ($pid == 0) {
        open STDIN, '<', '/dev/null';
        open STDOUT, '>>', "$self->{dir}/output";
        open STDERR, '>&', \*STDOUT;
        my @command = (@wrapper, $self->command);
        exec { $command[0] } @command or POSIX::_exit(127);
    }

    $self->{pid} = $pid;
    $running{$pid} = 1;

    wait_until(sub { $self->ended || $self->connect }, 60)
        && !$self->ended
        || $self->fail('does not start');

    return $self;
}


sub connect {
    my ($self, $name) = @_;

    return IO::Socket::INET->new(
        PeerAddr => '127.0.0.1',
        PeerPort => $self->port_of($name)
    );
}


sub ended {
    my ($self) = @_;

    if ($running{ $self->{pid} }
        && waitpid($self->{pid}, POSIX::WNOHANG()) == $self->{pid})
    {
        $self->{status} = $?;
        delete $running{ $self->{pid} };
    }

    return !$running{ $self->{pid} };
}


sub stop {
    my ($self) = @_;

    $self->fail('has ended') if $self->ended;

    kill 'TERM', $self->{pid};

    wait_until(sub { $self->ended }, 60) || $self->fail('does not stop');

    $self->fail("has failed, status $self->{status}") if $self->{status};
}


sub fail {
    my ($self, $what) = @_;

    my $text = slurp("$self->{dir}/output") . slurp("$self->{dir}/error.log");

    die "nginx $what:\n", tail($text, 10), "\n";
}


# KB in a line of /proc/PID/status, of the process that serves

sub memory {
    my ($self, $what) = @_;

    my ($pid) = $self->{master} ? children_of($self->{pid}) : $self->{pid};

    my ($kb) = slurp("/proc/$pid/status") =~ /^$what:\s+(\d+) kB$/m
        or die "no $what in /proc/$pid/status\n";

    return $kb;
}


# seconds of CPU time so far, of a single process

sub cpu {
    my ($self) = @_;

    my ($ns) = slurp("/proc/$self->{pid}/schedstat") =~ /^(\d+)/
        or die "no /proc/$self->{pid}/schedstat\n";

    return $ns / 1e9;
}


END {
    if ($$ == $owner) {
        my $status = $?;

        # a worker goes when it is told by its master

        kill 'TERM', $_ for keys %running;

        for my $pid (keys %running) {
            my $gone = sub { waitpid($pid, POSIX::WNOHANG()) != 0 };

            wait_until($gone, 10) || kill('KILL', $pid) && waitpid($pid, 0);
        }

        $? = $status;
    }
}


1;
